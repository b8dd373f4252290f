"""Killed anywhere, a refinement goes on where its journal stops: nothing is asked of a model or a tool twice."""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime

import msgspec
import pytest

from midwatch.domain import events as ev
from midwatch.domain.dialogue import ModelRequest, ToolTurn
from midwatch.domain.errors import ClaimLost
from midwatch.domain.incidents import Incident
from midwatch.services.ports import Claim
from midwatch.services.reasoning.limits import Limits
from tests.fakes.models import Block, Say, ScriptedModel, call
from tests.fakes.reasoning import Study, Tools, answer
from tests.fakes.stores import MemoryJournal


class Killed(BaseException):
    """The process dies: nothing after this line runs, no handler, no clean-up that writes."""


class Fragile:
    """A journal whose process dies at one append: before it is stored, or right after."""

    def __init__(self, journal: MemoryJournal, at: int, *, stored: bool) -> None:
        self._journal, self._at, self._stored, self.appends = journal, at, stored, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    async def append(
        self, incident: Incident, events: Sequence[ev.AnyEvent], *, at: datetime, by: str, claim: Claim | None = None
    ) -> Incident:
        self.appends += 1
        if self.appends == self._at and not self._stored:
            raise Killed
        written = await self._journal.append(incident, events, at=at, by=by, claim=claim)
        if self.appends == self._at:
            raise Killed
        return written


def detective() -> ScriptedModel:
    """Says what follows from the history alone, as a model does: three rounds, then the answer."""

    def script(request: ModelRequest) -> Say:
        if request.purpose == "summarise":
            return Say("Much of the same.")
        if request.purpose == "conclude":
            return Say(answer())
        rounds = sum(isinstance(turn, ToolTurn) for turn in request.turns)
        if rounds == 0:
            return Say("Logs and events.", calls=[call("logs", pod="web-1"), call("events")])
        if rounds == 1:
            return Say("More.", calls=[call("long"), call("logs", pod="web-1")])
        if rounds == 2:
            return Say("And one line.", calls=[call("read_output", call_id="m-2.1", from_line=5, to_line=6)])
        return Say("Prose first.")

    return ScriptedModel(script=script)


def study() -> Study:
    tools = Tools({"logs": "a log\nwith password=hunter2hunter2", "events": "none", "long": "dull line\n" * 4000})
    return Study(detective(), tools, limits=Limits(race_below=0.0))


def frozen(study: Study, at: int, *, stored: bool) -> Fragile:
    journal = Fragile(study.store.journal, at, stored=stored)
    study.store.journal = journal  # type: ignore[assignment]
    return journal


async def undisturbed() -> tuple[Study, list[ev.AnyEvent]]:
    whole = study()
    await whole.run()
    return whole, await whole.events()


async def last_history(of: Study) -> str:
    turns = of.model.requests[-1].turns  # type: ignore[union-attr]
    text = msgspec.json.encode(turns).decode().replace((await of.memory()).nonce, "NONCE")
    return re.sub(r"\bcall-\d+", "ID", text)


@pytest.mark.parametrize("stored", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 12))
async def test_killed_at_any_append_it_ends_as_if_nothing_had_been(at: int, stored: bool) -> None:
    whole, events = await undisturbed()
    broken = study()
    await broken.begin()
    healthy = broken.store.journal
    fragile = frozen(broken, at, stored=stored)
    try:
        await broken.go_on()
    except Killed:
        broken.store.journal = healthy
        await broken.go_on() if (await broken.incident()).refine else None
    else:
        pytest.skip(f"there are {fragile.appends} appends")
    told = await broken.events()

    def essence(found: list[ev.AnyEvent]) -> list[str]:
        return [type(event).__name__ for event in found if not isinstance(event, ev.RefinementStarted)]

    assert essence(told) == essence(events)
    assert (await broken.incident()).report == (await whole.incident()).report
    repeated = len(broken.model.replies) - len(whole.model.replies)  # type: ignore[union-attr]
    assert repeated <= (0 if stored else 2), "only what was not stored is asked again: an answer and its summary"
    assert len(broken.tools.calls) - len(whole.tools.calls) <= (0 if stored else 2)
    assert await last_history(broken) == await last_history(whole), "the same to the letter, but for ids and nonce"


async def test_there_are_as_many_appends_as_are_killed() -> None:
    whole = study()
    await whole.begin()
    counting = frozen(whole, 10**6, stored=True)
    await whole.go_on()
    assert counting.appends == 11


@pytest.mark.parametrize("at", range(6))
async def test_cancelled_while_it_waits_it_goes_on_later(at: int) -> None:
    """The worker is told to stop (or the claim is lost) in the middle of a model's answer."""
    broken = study()
    script = broken.model._script  # type: ignore[union-attr]
    block, count = Block(), 0

    def stops(request: ModelRequest) -> object:
        nonlocal count
        count += 1
        return block if count == at + 1 else script(request)

    broken.model._script = stops  # type: ignore[union-attr]
    await broken.begin()
    running = asyncio.create_task(broken.go_on())
    await block.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert block.cancelled
    incident = await broken.go_on()
    assert incident.report is not None
    assert incident.report.author != "built-in"


async def test_who_lost_the_claim_writes_nothing_more() -> None:
    block = Block(Say(answer()))
    slow = Study(ScriptedModel(block, answer()))
    await slow.begin()
    running = asyncio.create_task(slow.go_on())
    await block.reached.wait()
    await slow.refinement().run(await slow.claim("successor"))
    block.release.set()
    with pytest.raises(ClaimLost):
        await running
    reports = [event for event in await slow.events() if isinstance(event, ev.ReportMade)]
    assert len(reports) == 2


async def test_masks_given_before_a_restart_are_not_given_to_other_secrets() -> None:
    broken = Study(
        ScriptedModel(Say(calls=[call("logs")]), Block()),
        Tools({"logs": "password=first-secret", "events": "password=other-secret"}),
    )
    await broken.begin()
    running = asyncio.create_task(broken.go_on())
    while len(broken.model.requests) < 2:  # type: ignore[union-attr]
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    broken.model = model = ScriptedModel(Say(calls=[call("events")]), answer())
    await broken.go_on()
    texts = [result.text for turn in model.requests[-1].turns if isinstance(turn, ToolTurn) for result in turn.results]
    assert "password=***1" in texts[0]
    assert "password=***2" in texts[1]
