"""Runbooks from the network: which addresses may be asked, what is believed, what is kept."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from midwatch.adapters.runbooks.addresses import github_site
from midwatch.adapters.runbooks.fetching import RunbookFetcher
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import MidwatchError, NotFound, Permanent, Refused, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Member
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.runbooks import MAX_BYTES, RunbookPage
from midwatch.services.runbooks import MOST, RunbookSearch

BLOB = "https://github.com/acme/books/blob/main/ops/disk%20full.md"
AT = datetime(2026, 3, 1, tzinfo=UTC)


class Hands:
    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        return self.at


class Host:
    """What the network answers, and what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception, address: str = "140.82.112.3") -> None:
        self.answers, self.asked, self.address = list(answers), [], address  # type: ignore[var-annotated]

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def lookup(self, host: str) -> Sequence[str]:
        return [self.address]

    def fetcher(self, clock: Hands | None = None, site: str = "https://github.com", **more: object) -> RunbookFetcher:
        return RunbookFetcher(
            github_site(site),
            clock or Hands(),  # type: ignore[arg-type]
            lookup=self.lookup,
            transport=httpx2.MockTransport(self.handle),
            **more,  # type: ignore[arg-type]
        )


def text(body: str = "# Disk full\n", **headers: str) -> httpx2.Response:
    return httpx2.Response(200, text=body, headers=headers)


async def test_a_public_file_is_read_raw() -> None:
    host = Host(text())
    async with host.fetcher() as fetcher:
        assert await fetcher.fetch(f"{BLOB}?plain=1#l4") == "# Disk full\n"
    (request,) = host.asked
    assert str(request.url) == "https://raw.githubusercontent.com/acme/books/main/ops/disk%20full.md"
    assert "authorization" not in request.headers


async def test_a_private_file_is_read_through_the_api() -> None:
    host = Host(text())
    async with host.fetcher(token="t0p") as fetcher:
        await fetcher.fetch(BLOB)
    (request,) = host.asked
    assert request.url.host == "api.github.com"
    assert request.url.raw_path == b"/repos/acme/books/contents/ops/disk%20full.md?ref=main"
    assert request.headers["authorization"] == "Bearer t0p"


async def test_the_token_goes_to_nobody_else() -> None:
    host = Host(text())
    async with host.fetcher(token="t0p", hosts=frozenset({"docs.acme.example"})) as fetcher:
        await fetcher.fetch("https://docs.acme.example/disk.md")
    assert "authorization" not in host.asked[0].headers


async def test_an_enterprise_server_may_stand_at_home() -> None:
    host = Host(text(), address="10.1.2.3")
    async with host.fetcher(site="https://git.acme.example", home=frozenset({"git.acme.example"})) as fetcher:
        await fetcher.fetch("https://git.acme.example/ops/books/raw/refs/heads/main/a.md")
    assert str(host.asked[0].url) == "https://git.acme.example/ops/books/raw/main/a.md"


@pytest.mark.parametrize(
    "url",
    [
        "http://github.com/a/b/blob/main/x.md",
        "https://evil.example/x.md",
        "https://github.com.evil.example/a/b/blob/main/x.md",
        "https://github.com@evil.example/x.md",
        "https://user:pw@github.com/a/b/blob/main/x.md",
        "https://github.com:8443/a/b/blob/main/x.md",
        "https://169.254.169.254/latest/x.md",
        "https://localhost/x.md",
        "https://github.com/a/b/blob/main/x.sh",
        "file:///etc/passwd.md",
        "https://[::1]/x.md",
        "https://[bad/x.md",
        "",
    ],
)
async def test_addresses_that_may_not_be_asked(url: str) -> None:
    host = Host()
    async with host.fetcher() as fetcher:
        with pytest.raises(Refused):
            await fetcher.fetch(url)
    assert host.asked == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.8", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"])
async def test_a_name_that_leads_into_the_house(address: str) -> None:
    host = Host(address=address)
    async with host.fetcher() as fetcher:
        with pytest.raises(Refused, match="not public"):
            await fetcher.fetch(BLOB)
    assert host.asked == []


async def test_only_named_repositories() -> None:
    host = Host(text())
    async with host.fetcher(repos=("Acme/*",)) as fetcher:
        await fetcher.fetch(BLOB)
        with pytest.raises(Refused, match="mallory/books"):
            await fetcher.fetch("https://github.com/mallory/books/blob/main/x.md")


@pytest.mark.parametrize("path", ["a/../../../x/y.md", "%2e%2e/%2e%2e/x.md", "a%2f..%2fx.md"])
async def test_no_way_out_of_the_repository(path: str) -> None:
    host = Host(httpx2.Response(404))
    async with host.fetcher(repos=("acme/books",), token="t0p") as fetcher:
        with pytest.raises(MidwatchError):
            await fetcher.fetch(f"https://github.com/acme/books/blob/main/{path}")
    assert all("authorization" not in request.headers for request in host.asked)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx2.Response(404), NotFound),
        (httpx2.Response(403), Permanent),
        (httpx2.Response(302, headers={"location": "http://169.254.169.254/"}), Permanent),
        (httpx2.Response(500), Transient),
        (text("<!doctype html><title>Sign in</title>"), Permanent),
        (text("x" * (MAX_BYTES + 1)), Permanent),
        (httpx2.Response(200, content=b"\x00\x01"), Permanent),
        (httpx2.ConnectError("no route"), Transient),
    ],
    ids=["404", "403", "redirect", "500", "web page", "large", "binary", "down"],
)
async def test_failures(answer: httpx2.Response | Exception, kind: type[Exception]) -> None:
    async with Host(answer).fetcher() as fetcher:
        with pytest.raises(kind):
            await fetcher.fetch(BLOB)


async def test_kept_for_minutes_then_asked_by_etag_then_kept_through_an_outage() -> None:
    clock = Hands()
    host = Host(text(etag='"v1"'), httpx2.Response(304), httpx2.Response(503), httpx2.Response(503))
    async with host.fetcher(clock) as fetcher:
        await fetcher.fetch(BLOB)
        await fetcher.fetch(BLOB)
        assert len(host.asked) == 1
        clock.at += timedelta(minutes=6)
        assert await fetcher.fetch(BLOB) == "# Disk full\n"
        assert host.asked[1].headers["if-none-match"] == '"v1"'
        clock.at += timedelta(minutes=6)
        assert await fetcher.fetch(BLOB) == "# Disk full\n"
        clock.at += timedelta(days=2)
        with pytest.raises(Transient):
            await fetcher.fetch(BLOB)


class Shelf:
    def __init__(self, *pages: RunbookPage) -> None:
        self._pages = pages

    def pages(self) -> tuple[RunbookPage, ...]:
        return self._pages


def case(url: str = "", book: str = "") -> Incident:
    pod = ObjectRef("Pod", "web-1", "shop")
    member = Member(
        identity="i",
        episode="e",
        source="alertmanager",
        condition="OOMKilled",
        severity=Severity.ERROR,
        subject=pod,
        first_at=AT,
        last_at=AT,
        runbook_url=url,
        runbook_id=book,
    )
    return Incident(id=IncidentId("i"), condition="OOMKilled", members=(member,))


REPORT = Diagnosis(root_cause="memory", summary="", confidence=1.0)


def book(name: str, body: str = "text", **more: object) -> RunbookPage:
    return RunbookPage(id=name, title=name, text=body, source=f"{name}.md", **more)  # type: ignore[arg-type]


async def found(
    host: Host, incident: Incident, *pages: RunbookPage, fetch: Callable[..., object] | None = None
) -> list:
    async with host.fetcher() as fetcher:
        return list(await RunbookSearch(Shelf(*pages), fetcher).find(incident, REPORT))


async def test_asked_for_first_then_the_address_then_what_fits() -> None:
    pages = (book("fits", conditions=("OOMKilled",)), book("asked", conditions=("PVCLost",)))
    books = await found(Host(text("# From afar\n\npassword=hunter2hunter2")), case(BLOB, "asked"), *pages)
    assert [(each.name, each.why) for each in books] == [
        ("asked", "an alert asks for it"),
        ("From afar", "an alert names its address"),
        ("fits", "it is for OOMKilled"),
    ]
    assert "hunter2" not in books[1].text


async def test_a_failure_proceeds_without() -> None:
    books = await found(Host(httpx2.ConnectError("x")), case(BLOB), book("fits", conditions=("OOMKilled",)))
    assert [each.name for each in books] == ["fits"]
    books = await found(Host(), case("javascript:alert(1)"), book("fits", conditions=("OOMKilled",)))
    assert [each.name for each in books] == ["fits"]


async def test_capped() -> None:
    pages = [book(f"b{number}", "x y " * 10_000, conditions=("OOMKilled",)) for number in range(6)]
    books = await found(Host(), case(), *pages)
    assert len(books) == MOST
    assert books[0].text.endswith("more characters]")
    assert len(books[0].text) < 20_100
