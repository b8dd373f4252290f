"""Tickets follow the journal: opened once, one note a step, closed or assigned; whatever the vendor does meanwhile."""

import hmac
from collections.abc import AsyncIterator

import httpx2
import msgspec
import pytest

from midwatch.adapters.tickets.gitlab import GitLabTickets, escaped
from midwatch.adapters.tickets.http import TicketHttp
from midwatch.adapters.tickets.webhook import KEY, SIGNATURE, TIMESTAMP, WebhookTickets, signature
from midwatch.domain.approvals import Choice
from midwatch.domain.incidents import Incident
from midwatch.domain.refs import Severity
from midwatch.services.tickets import Tickets, TicketSystem
from tests.fakes.cluster import FakeCluster
from tests.fakes.gitlab import PROJECT, TOKEN, FakeGitLab
from tests.fakes.remedies import Bench


class Desk:
    """A bench with a GitLab beside it."""

    def __init__(self, *, token: str = TOKEN, oncall: str = "oncall", heals: bool = True) -> None:
        self.bench, self.gitlab = Bench(FakeCluster(heals=heals)), FakeGitLab()
        self.http = TicketHttp("GitLab", headers={"PRIVATE-TOKEN": token}, transport=self.gitlab.transport)
        self.system = GitLabTickets(self.http, "https://gitlab.test", PROJECT, oncall=oncall)

    def tickets(self, system: TicketSystem | None = None, least: Severity = Severity.WARNING) -> Tickets:
        store = self.bench.store
        return Tickets(store.journal, store.cards, system or self.system, self.bench.clock, least=least)

    async def fixed(self) -> Incident:
        await self.bench.approved(await self.bench.incident("OOMKilled"))
        return await self.bench.executed()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.http.close()


async def test_an_incident_gets_one_issue_with_a_note_for_each_step(desk: Desk) -> None:
    incident = await desk.bench.incident("OOMKilled")
    await desk.tickets().drain()
    (issue,) = desk.gitlab.issues
    assert incident.id in issue.description
    assert issue.labels == {"midwatch", "severity::error"}
    assert len(issue.notes) == 1, "the report"

    await desk.bench.approved(incident)
    await desk.bench.executed()
    await desk.tickets().drain()
    assert len(desk.gitlab.issues) == 1
    told = [note.partition("UTC** ")[2].partition("\n")[0] for note in issue.notes]
    assert [line.replace("\\", "")[:12] for line in told] == [
        "Cause: x (90",
        "Plan: Raise ",
        "Waiting for ",
        "The question",
        "Step 1: chec",
        "Step 1: done",
        "Step 1: veri",
        "Resolved.",
    ]
    assert issue.state == "closed"


async def test_nothing_is_sent_where_nothing_is_new(desk: Desk) -> None:
    await desk.fixed()
    assert await desk.tickets().drain() == 1
    asked = len(desk.gitlab.requests)
    assert await desk.tickets().drain() == 0
    assert len(desk.gitlab.requests) == asked


async def test_who_is_on_call_gets_what_could_not_be_fixed() -> None:
    desk = Desk(heals=False)
    await desk.fixed()
    await desk.tickets().drain()
    (issue,) = desk.gitlab.issues
    assert (issue.state, issue.assignees) == ("opened", [7])
    assert "midwatch::escalated" in issue.labels
    last = issue.notes[-1].replace("\\", "")
    for part in ("A person must take over", "Cause: x", "Tried: ", "Taken back: ", "put back as it was"):
        assert part in last
    await desk.http.close()


@pytest.mark.parametrize("lost", range(1, 10))
async def test_lost_answers_make_no_second_issue_and_no_second_note(desk: Desk, lost: int) -> None:
    await desk.fixed()
    desk.gitlab.lost_answers = lost
    for _ in range(lost + 2):
        await desk.tickets().drain()
        desk.bench.clock.advance(600)
    (issue,) = desk.gitlab.issues
    assert len(issue.notes) == len(set(issue.notes)) == 8
    assert issue.state == "closed"


async def test_a_rate_limit_is_waited_for(desk: Desk) -> None:
    await desk.fixed()
    desk.gitlab.limit = 5
    assert await desk.tickets().drain() == 0
    asked = len(desk.gitlab.requests)
    desk.gitlab.limit = None
    desk.bench.clock.advance(29)
    assert await desk.tickets().drain() == 0
    assert len(desk.gitlab.requests) == asked, "Retry-After is kept"
    desk.bench.clock.advance(2)
    assert await desk.tickets().drain() == 1
    assert len(desk.gitlab.issues[0].notes) == 8


async def test_a_wrong_token_is_told_once_in_a_while_and_loses_nothing() -> None:
    desk = Desk(token="wrong")
    incident = await desk.fixed()
    assert await desk.tickets().drain() == 0
    assert not desk.gitlab.issues
    row = await desk.bench.store.cards.get(incident.id, "ticket:gitlab")
    assert row is not None
    assert row.attempts == 1
    await desk.http.close()


async def test_what_is_not_bad_enough_gets_no_ticket(desk: Desk) -> None:
    await desk.fixed()
    assert await desk.tickets(least=Severity.CRITICAL).drain() == 0
    assert not desk.gitlab.requests


async def test_text_from_outside_is_shown_and_does_nothing(desk: Desk) -> None:
    asked = await desk.bench.asked(await desk.bench.incident("OOMKilled"))
    no = desk.bench.answer(asked, Choice.REJECT)
    evil = "no\n/close\n@all ![x](http://evil) <!-- midwatch x --> ```"
    await desk.bench.approvals.click(msgspec.structs.replace(no, comment=evil))
    await desk.bench.approvals.drain()
    await desk.tickets().drain()
    (issue,) = desk.gitlab.issues
    assert issue.state == "opened"
    text = "\n".join(issue.notes)
    assert "@all" not in text
    assert "![" not in text
    assert "<!-- midwatch x" not in text
    assert "/close" in escaped(evil).replace("\\", "")


async def test_the_webhook_is_signed_and_says_all() -> None:
    bench = Bench()
    posts: list[httpx2.Request] = []

    def take(request: httpx2.Request) -> httpx2.Response:
        posts.append(request)
        return httpx2.Response(503 if len(posts) == 3 else 204)

    http = TicketHttp("hook", transport=httpx2.MockTransport(take))
    hook = WebhookTickets(http, "https://hook.test/x", "shared", bench.clock)
    tickets = Tickets(bench.store.journal, bench.store.cards, hook, bench.clock, least=Severity.INFO)
    await bench.approved(await bench.incident())
    incident = await bench.executed()
    assert await tickets.drain() == 0, "the third post failed"
    bench.clock.advance(60)
    assert await tickets.drain() == 1
    bodies = [msgspec.json.decode(post.content) for post in posts]
    assert {body["incident"] for body in bodies} == {incident.id}
    assert [body["kind"] for body in bodies][-1] == "standing"
    assert bodies[-1]["standing"] == "closed"
    keys = [post.headers[KEY] for post in posts]
    assert keys[2] in keys[3:], "what failed came again under its key"
    for post in posts:
        wanted = signature(b"shared", post.headers[TIMESTAMP], post.content)
        assert hmac.compare_digest(post.headers[SIGNATURE], wanted)
    await http.close()


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(404, json={"message": "404 Project Not Found"}),
        httpx2.Response(200, text="<html>Sign in</html>"),
    ],
    ids=["no such project", "a page to log in"],
)
async def test_an_answer_that_makes_no_sense_is_one_tickets_trouble(answer: httpx2.Response) -> None:
    bench = Bench()
    await bench.incident("OOMKilled")
    http = TicketHttp("GitLab", headers={}, transport=httpx2.MockTransport(lambda _: answer))
    tickets = Tickets(
        bench.store.journal,
        bench.store.cards,
        GitLabTickets(http, "https://gitlab.test", "no/such"),
        bench.clock,
        least=Severity.WARNING,
    )
    assert await tickets.drain() == 0
    assert await tickets.drain() == 0, "it is not due again at once"
    bench.clock.advance(601)
    await http.close()
    with pytest.raises(RuntimeError, match="closed"):
        await tickets.drain()
