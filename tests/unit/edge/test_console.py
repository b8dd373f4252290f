"""The console's pages: what they show, in which state, and that nothing observed can act in them."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from html import escape

import httpx2
import pytest

from midwatch.domain import events as ev
from midwatch.domain.incidents import Incident
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import Severity
from serve.dependencies import Subsystem
from serve.views import diff_lines, headline, stages_of
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House, Opener

ONE = "0192f0a0-1111-7000-8000-000000000001"
TWO = "0192f0a0-2222-7000-8000-000000000002"


async def test_a_quiet_night(browser: httpx2.AsyncClient) -> None:
    page = (await browser.get("/")).text
    assert "All quiet" in page
    assert "No open incidents" in page
    assert "14 kinds, 96 objects" in page, "the watcher's health stands on the front page"


async def test_what_waits_for_a_person_comes_first_and_says_so(house: House, browser: httpx2.AsyncClient) -> None:
    journal = house.store.journal
    await scenes.told(journal, ONE, scenes.opened(), scenes.diagnosed(), scenes.asked())
    await scenes.told(journal, TWO, scenes.opened(title="billing does not start", namespace="payments"))
    page = (await browser.get("/")).text
    assert "1 fix waits for your word" in page
    assert "Midwatch is on 1 other." in page
    assert page.index("checkout keeps crashing") < page.index("billing does not start")
    assert "The database refuses connections on port 5432" in page
    assert "Looking for the cause" in page
    assert "answer within" in page


async def test_a_question_is_never_lost_among_many_incidents(house: House, browser: httpx2.AsyncClient) -> None:
    journal = house.store.journal
    await scenes.told(journal, ONE, scenes.opened(), scenes.diagnosed(), scenes.asked())
    for number in range(60):
        await scenes.told(journal, f"0192f0a0-3333-7000-8000-{number:012}", scenes.opened(title=f"storm {number}"))
    page = (await browser.get("/")).text
    assert "1 fix waits for your word" in page
    assert "Midwatch is on 60 others." in page
    assert page.index("checkout keeps crashing") < page.index("storm 59")
    assert "and 21 more" in page


@pytest.mark.parametrize(
    ("chapters", "headline"),
    [
        ([scenes.opened()], "1 incident — Midwatch is on it"),
        ([scenes.opened(), scenes.diagnosed(), scenes.escalated()], "1 incident needs a person"),
        ([scenes.opened(), scenes.diagnosed(), scenes.asked(), scenes.fixed()], "All quiet"),
    ],
)
async def test_the_headline_says_what_matters(
    chapters: list[list[ev.AnyEvent]], headline: str, house: House, browser: httpx2.AsyncClient
) -> None:
    await scenes.told(house.store.journal, ONE, *chapters)
    assert headline in (await browser.get("/")).text


async def test_a_blind_watch_is_not_a_quiet_night(house: House, browser: httpx2.AsyncClient) -> None:
    house.parts.append(Subsystem(name="watcher prod", ok=False, detail="the API server does not answer"))
    page = (await browser.get("/")).text
    assert "All quiet" not in page
    assert "Not well: watcher prod." in page
    assert "the API server does not answer" in page


async def test_the_approval_card_says_all_that_is_needed_to_decide(house: House, browser: httpx2.AsyncClient) -> None:
    await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed(), scenes.asked())
    page = (await browser.get(f"/incidents/{ONE}")).text
    for text in (
        "May Midwatch do this?",
        "HIGH risk",
        '<span class="del">-    value: db-new.shop.svc',
        '<span class="add">+    value: db.shop.svc',
        "3 pods restart, 1 are ready now",
        "Rolls forward to the template of revision 42 again.",
        "Two pods of the old release are still starting.",
        "confirmed with a second click",
        'value="approve"',
        'value="reject"',
        f'value="{scenes.DIGEST}"',
        "86 % sure",
        "logs:checkout-6d5f-x2x9k:2",
        "status.containerStatuses[0].lastState",
    ):
        assert text in page, text
    assert "data-until" in page


async def test_the_confidence_leads_to_the_evidence_and_that_to_the_look(
    house: House, browser: httpx2.AsyncClient
) -> None:
    await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed())
    page = (await browser.get(f"/incidents/{ONE}")).text
    assert re.search(r'<a class="sure" href="#evidence"[^>]*>86 % sure</a>', page)
    assert 'id="evidence"' in page
    assert re.search(r'<a href="#call-c1"[^>]*>logs:checkout-6d5f-x2x9k:2</a>', page)
    assert page.count('id="call-c1"') == 1


async def test_a_high_risk_plan_is_confirmed_by_a_second_deliberate_act(
    house: House, browser: httpx2.AsyncClient
) -> None:
    await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed(), scenes.asked(), scenes.voted())
    page = (await browser.get(f"/incidents/{ONE}")).text
    assert "Are you sure?" in page
    assert 'value="confirm"' in page
    assert 'value="approve"' not in page
    assert '<input type="checkbox" name="read" required>' in page, "a double click must not confirm"


async def test_nothing_can_be_answered_once_it_is_decided(house: House, browser: httpx2.AsyncClient) -> None:
    await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed(), scenes.asked(), scenes.fixed())
    page = (await browser.get(f"/incidents/{ONE}")).text
    assert "<form id=" not in page
    assert "Approved by console:operator" in page
    assert "Rolled back to revision 41; all pods are ready again." in page


async def test_the_answer_is_told_on_the_page(house: House, browser: httpx2.AsyncClient) -> None:
    await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed(), scenes.asked())
    csrf = (await browser.get(f"/incidents/{ONE}")).text.split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": csrf, "approval": scenes.APPROVAL, "digest": scenes.DIGEST, "choice": "approve", "reason": "go"}
    htmx = {"HX-Request": "true"}
    answer = await browser.post(f"/incidents/{ONE}/answer", data=form, headers=htmx)
    assert (answer.status_code, "will be judged" in answer.text) == (200, True)
    (click,) = await house.store.clicks.pending()
    assert (click.comment, click.user) == ("go", "console:operator")
    nonsense = await browser.post(f"/incidents/{ONE}/answer", data={**form, "choice": "<b>"}, headers=htmx)
    assert nonsense.status_code == 422
    assert "<b>" not in nonsense.text
    house.break_store()
    away = await browser.post(f"/incidents/{ONE}/answer", data=form, headers=htmx)
    assert away.status_code == 503
    assert "hunter2" not in away.text


EVIL = '<script>alert(1)</script><img src=x onerror="a()">\'"</textarea></pre><hx-partial hx-target="#state">{{ 7*7 }}'


async def evil_incident(house: House) -> Incident:
    chapters = [
        scenes.opened(title=f"title {EVIL}", namespace="shop", severity=Severity.ERROR),
        scenes.diagnosed(cause=f"cause {EVIL}", log=f"log {EVIL}"),
        scenes.asked(approvers=(f"user {EVIL}",)),
        scenes.escalated(f"detail {EVIL}"),
    ]
    return await scenes.told(house.store.journal, ONE, *chapters)


async def test_nothing_observed_becomes_markup_on_any_page(house: House, browser: httpx2.AsyncClient) -> None:
    await evil_incident(house)
    house.parts.append(Subsystem(name=f"part {EVIL}", ok=False, detail=EVIL))
    for path in ("/", f"/incidents/{ONE}", f"/login?next={EVIL}"):
        page = (await browser.get(path)).text
        for raw in ("<script>", "<img", 'onerror="', "<hx-partial", "49", "</textarea>"):
            assert raw not in page, (path, raw)
    page = (await browser.get(f"/incidents/{ONE}")).text
    for place in ("title ", "cause ", "log ", "detail "):
        assert place + escape(EVIL, quote=False)[:30] in page, f"{place}is shown, escaped"


async def test_nothing_observed_becomes_markup_in_the_live_stream(house: House, browser: httpx2.AsyncClient) -> None:
    incident = await evil_incident(house)
    reading = asyncio.create_task(browser.get(f"/incidents/{ONE}/live"))
    closed = ev.Closed(reason=Reason.SIGNALS_CLEARED, detail=EVIL)
    await scenes.carried_on(house.store.journal, incident, [closed])
    text = (await asyncio.wait_for(reading, 2)).text
    assert text.count("<hx-partial ") == text.count("id: ") - 1, "one of our own in each update, none of theirs"
    for raw in ("<script>", "<img", 'onerror="', "</textarea>"):
        assert raw not in text


async def test_the_live_page_brings_new_entries_and_the_state_they_lead_to(
    house: House, browser: httpx2.AsyncClient
) -> None:
    incident = await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed(), scenes.asked())
    reading = asyncio.create_task(browser.get(f"/incidents/{ONE}/live", params={"after": incident.seq}))
    for event in scenes.fixed():
        await asyncio.sleep(0)
        incident = await scenes.carried_on(house.store.journal, incident, [event])
    text = (await asyncio.wait_for(reading, 2)).text
    assert [f'id="entry-{seq}"' in text for seq in (7, 8, 13)] == [False, True, True], "only what is new"
    assert text.count('id="entry-13"') == 1
    assert 'hx-target="#state" hx-swap="innerMorph"' in text
    assert "event: end" in text
    resumed = await browser.get(f"/incidents/{ONE}/live", headers={"Last-Event-ID": "12"})
    assert ('id="entry-12"' in resumed.text, 'id="entry-13"' in resumed.text) == (False, True)


async def test_a_page_sees_its_incident_taken_up_again(house: House, browser: httpx2.AsyncClient) -> None:
    ended = ev.Resolved(reason=Reason.SIGNALS_CLEARED, detail="It recovered.")
    incident = await scenes.told(house.store.journal, ONE, scenes.opened(), [ended])
    reading = asyncio.create_task(browser.get(f"/incidents/{ONE}/live", params={"after": incident.seq}))
    async with asyncio.timeout(2):
        target = house.clock.at + timedelta(seconds=60)
        while house.clock.at < target:
            await asyncio.sleep(0)
    again = [ev.Reopened(reason=Reason.REOPENED_IN_COOLDOWN), *scenes.diagnosed(), ended]
    await scenes.carried_on(house.store.journal, incident, again)
    text = (await asyncio.wait_for(reading, 2)).text
    assert "taken up anew" in text
    assert text.count('id="entry-') == len(again)
    assert text.endswith("event: end\ndata: {}\n\n"), "in the end it lets go"


async def test_the_board_is_sent_again_only_when_it_changed(house: House, opened: Opener) -> None:
    house.change(limits=replace(house.limits, poll_s=1.0, heartbeat_s=5.0))
    await opened()
    from serve.boards import Boards

    following = Boards(house.edge).follow()
    first = await anext(following)
    assert first is not None
    assert first.headline == "All quiet"
    assert await anext(following) is None, "nothing changed: a heartbeat"
    await scenes.told(house.store.journal, ONE, scenes.opened())
    changed = await anext(following)
    assert changed is not None
    assert [tile.title for tile in changed.open] == ["checkout keeps crashing"]
    house.break_store()
    blind = await anext(following)
    assert blind is not None
    assert blind.headline == "The store is away"
    assert blind.open == changed.open, "what was known stays on the screen"
    await following.aclose()


async def test_progress_is_told_stage_by_stage(house: House) -> None:
    incident = await scenes.told(house.store.journal, ONE, scenes.opened())

    def now() -> str:
        return next((stage.name for stage in stages_of(incident) if stage.status in ("now", "bad")), "over")

    seen = [now()]
    for chapter in (scenes.diagnosed(), scenes.asked(), scenes.voted(), scenes.fixed()):
        for event in chapter:
            incident = await scenes.carried_on(house.store.journal, incident, [event])
            seen.append(now())
    assert list(dict.fromkeys(seen)) == ["Diagnosis", "Plan", "Approval", "Fix", "Check", "Resolved", "over"]
    assert {stage.status for stage in stages_of(incident)} == {"done"}


async def test_what_ended_by_itself_claims_no_fix(house: House) -> None:
    ended = ev.Resolved(reason=Reason.SIGNALS_CLEARED, detail="It recovered.")
    incident = await scenes.told(house.store.journal, ONE, scenes.opened(), scenes.diagnosed(), [ended])
    assert [stage.status for stage in stages_of(incident)] == ["done", "done", "todo", "todo", "todo", "todo", "done"]


async def test_looks_in_a_row_are_told_together_and_failed_ones_apart(
    house: House, browser: httpx2.AsyncClient
) -> None:
    def look(number: int, *, ok: bool = True) -> ev.ToolCalled:
        reason = Reason.EVIDENCE_GATHERED
        return ev.ToolCalled(
            reason=reason, call_id=f"c{number}", tool="list", input=f"kind {number}", output="[]", ok=ok
        )

    looks: list[ev.AnyEvent] = [*map(look, range(20)), look(20, ok=False), look(21)]
    await scenes.told(house.store.journal, ONE, scenes.opened(), looks)
    page = (await browser.get(f"/incidents/{ONE}")).text
    assert "Looked at 20 things" in page
    assert page.index("kind 0</span>") < page.index("kind 19</span>"), "in the order they were made"
    assert "it failed" in page
    assert page.count('id="entry-') == 5


def test_a_headline_is_cut_between_words() -> None:
    assert headline("short") == "short"
    assert headline("word " * 100, 20) == "word word word …"


def test_a_diff_is_told_line_by_line() -> None:
    kinds = [(line.kind, line.text) for line in diff_lines("--- a\n+++ b\n@@ x @@\n-old\n+new\n same")]
    assert kinds == [("hunk", "@@ x @@"), ("del", "-old"), ("add", "+new"), ("same", " same")]
