"""The draft of a post-mortem: everything the journal knows, linked, and nothing that formats what it quotes."""

import re
from datetime import timedelta

import httpx2
from markdown_it import MarkdownIt

from serve.postmortem import draft
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House

ONE = "0192f0a0-1111-7000-8000-000000000001"
EVIL = "`x` [click](https://evil.test) <img src=x> | # not a heading"


async def drafted(house: House, *chapters: list, base: str = "https://night.test") -> str:  # type: ignore[type-arg]
    incident = await scenes.told(house.store.journal, ONE, *chapters)
    entries = await house.store.journal.entries(incident.id)
    return draft(incident, entries, base=base, now=scenes.T0 + timedelta(hours=6))


def section(text: str, title: str) -> str:
    """The lines below a heading of the second rank."""
    return text.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


async def test_it_tells_what_broke_why_and_what_was_done(house: House) -> None:
    story = [scenes.opened(), scenes.diagnosed(), scenes.asked(), scenes.voted(), scenes.fixed()]
    text = await drafted(house, *story)
    assert text.startswith("# Post-mortem: checkout keeps crashing\n")
    assert "| Severity | critical |" in text
    assert "| Ended | 2026-11-21 03:04:" in text
    assert "container app restarts again and again" in section(text, "What broke")
    assert "The database refuses connections on port 5432" in section(text, "Cause")
    assert "refused" in section(text, "Cause").split("Evidence")[1]
    done = section(text, "What was done")
    assert "Question to people: approved by console:operator" in done
    assert "carried out and verified" in done
    assert "noticed to over: " in section(text, "How long each part took")
    assert "[ ] Agree on who does what by when" in section(text, "To do")


async def test_every_entry_is_linked_oldest_first(house: House) -> None:
    story = [scenes.opened(), scenes.diagnosed(), scenes.asked(), scenes.voted(), scenes.fixed()]
    text = section(await drafted(house, *story), "What happened")
    linked = [int(number) for number in re.findall(rf"\(https://night\.test/incidents/{ONE}#entry-(\d+)\)", text)]
    assert linked == list(range(1, len(linked) + 1))
    assert len(linked) == sum(map(len, story))


async def test_one_that_goes_on_says_so(house: House) -> None:
    text = await drafted(house, scenes.opened(), base="")
    assert "| Ended | it has not |" in text
    assert "No report was made." in text
    assert f"(/incidents/{ONE})" in text
    assert "## What was done" not in text


async def test_what_was_observed_formats_nothing(house: House) -> None:
    text = await drafted(
        house, scenes.opened(title=EVIL), scenes.diagnosed(cause=EVIL, log=EVIL), scenes.escalated(EVIL)
    )
    html = MarkdownIt().enable("table").render(text)
    assert "evil.test" in html
    assert "<img" not in html
    assert '"https://evil.test' not in html
    assert "<h1>not a heading" not in html


async def test_it_comes_by_api_and_as_a_file(
    house: House, api: httpx2.AsyncClient, browser: httpx2.AsyncClient
) -> None:
    incident = await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed())
    answer = await api.get(f"/api/incidents/{ONE[:13]}/postmortem")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert f"http://midwatch.test/incidents/{incident.id}#entry-1" in answer.text
    assert (await api.get("/api/incidents/ffff/postmortem")).status_code == 404
    file = await browser.get(f"/incidents/{ONE}/postmortem.md")
    assert file.text.startswith("# Post-mortem: ")
    assert file.headers["content-disposition"].startswith("attachment;")


async def test_long_journals_are_read_whole(house: House, api: httpx2.AsyncClient) -> None:
    incident = await scenes.told(house.store.journal, ONE, scenes.opened())
    await scenes.carried_on(house.store.journal, incident, scenes.diagnosed()[1:2] * 1100)
    assert "Looked at 1100 things" in (await api.get(f"/api/incidents/{ONE}/postmortem")).text
