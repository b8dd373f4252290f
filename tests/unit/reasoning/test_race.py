"""Competing explanations: pursued side by side, believed only after somebody tried to refute them by a new look."""

import asyncio
import json

import msgspec
import pytest

from midwatch.domain import events as ev
from midwatch.domain.dialogue import ModelRequest, ToolTurn, UserTurn
from midwatch.domain.errors import Transient
from midwatch.domain.reasons import Reason
from midwatch.services.reasoning.limits import Limits
from tests.fakes.models import Block, Fail, Say, ScriptedModel, call
from tests.fakes.reasoning import FIRST, Study, Tools, answer

UNSURE = msgspec.structs.replace(FIRST, root_cause="unknown", confidence=0.1, playbook="")
NAMED = ("the database is away", "a bad release", "a full disk")
RACING = Limits(race_below=0.5)
TOOLS = {
    "logs": "db: connection refused by peer",
    "events": "nothing",
    "disk": "12% used",
    "db": "0 of 3 replicas ready",
}
HELD = [{"call_id": "h1-1.1", "quote": "connection refused"}, {"call_id": "3.1", "quote": "panic: connection refused"}]
NEW = [{"call_id": "h1r-1.1", "quote": "0 of 3 replicas ready"}]


def hypotheses(*causes: str) -> str:
    return json.dumps({"hypotheses": [{"cause": cause, "check": "look"} for cause in causes]})


def line_of(request: ModelRequest) -> str:
    """Which line of thought asks: by what it was told in the end."""
    first = request.turns[0]
    assert isinstance(first, UserTurn)
    for number, cause in enumerate(NAMED, 1):
        if 'source="hypothesis"' in first.text and cause in first.text.rpartition('source="hypothesis"')[2]:
            return f"h{number}"
    return "refuter" if 'source="claim"' in first.text else "main"


def rounds(request: ModelRequest) -> int:
    return sum(isinstance(turn, ToolTurn) for turn in request.turns)


def racing(refuter: object = None, losers: object = None, main: object = None) -> ScriptedModel:
    """The first explanation holds; the others look at the disk and find nothing, unless told otherwise."""

    def script(request: ModelRequest) -> object:
        if request.purpose == "hypotheses":
            return Say(hypotheses(*NAMED))
        line = line_of(request)
        if line == "h1":
            return Say("Logs.", calls=[call("logs")]) if not rounds(request) else Say(answer(evidence=HELD))
        if line == "refuter":
            if refuter is not None:
                return refuter(request) if callable(refuter) else refuter
            return Say("The database.", calls=[call("db")]) if not rounds(request) else Say(answer(evidence=NEW))
        if line == "main":
            return main(request) if callable(main) else Say(answer(evidence=HELD))
        if losers is not None:
            return losers(request) if callable(losers) else losers
        return Say(calls=[call("disk")]) if not rounds(request) else Say(answer(known=False, ruled_out=["12% used"]))

    return ScriptedModel(script=script)


def unsure(model: ScriptedModel, **more: object) -> Study:
    return Study(model, Tools(TOOLS), first=UNSURE, limits=RACING, **more)  # type: ignore[arg-type]


async def test_the_explanation_that_survives_its_refuter_wins_and_the_others_are_cancelled() -> None:
    block = Block()
    study = unsure(racing(losers=block))
    incident = await study.run()
    report = incident.report
    assert report is not None
    assert report.root_cause == "the database refuses connections"
    assert {cited.call_id for cited in report.evidence} == {"h1-1.1", "3.1", "h1r-1.1"}, "with what the refuter found"
    assert block.cancelled
    lost = [
        event.hypothesis
        for event in await study.events()
        if isinstance(event, ev.IterationEnded) and event.reason is Reason.RACE_LOST
    ]
    assert sorted(lost) == ["h2", "h3"]


async def test_a_sure_first_report_is_not_raced_and_zero_switches_races_off() -> None:
    for first, limits in ((FIRST, RACING), (UNSURE, Limits(race_below=0.0))):
        model = ScriptedModel(answer())
        await Study(model, first=first, limits=limits).run()
        assert not model.asked("hypotheses")


async def test_a_refuter_that_looks_at_nothing_new_confirms_nothing() -> None:
    lazy = Say(answer(evidence=HELD))
    model = racing(refuter=lazy, main=lambda _: Say(answer(known=False, root_cause="", evidence=[])))
    study = unsure(model)
    incident = await study.run()
    assert incident.report is not None
    assert incident.report.root_cause == "unknown"
    repeats = racing(
        refuter=lambda request: Say(calls=[call("logs")]) if not rounds(request) else lazy,
        main=lambda _: Say(answer(known=False, root_cause="", evidence=[])),
    )
    incident = await unsure(repeats).run()
    assert incident.report is not None
    assert incident.report.root_cause == "unknown", "what another line asked already is nothing new"


async def test_what_is_refuted_is_told_to_the_conclusion_over_all() -> None:
    told: list[str] = []

    def main(request: ModelRequest) -> Say:
        first = request.turns[0]
        assert isinstance(first, UserTurn)
        told.append(first.text)
        return Say(answer(known=False, root_cause="", evidence=[], next_checks=["ask the owner of the database"]))

    def refuter(request: ModelRequest) -> Say:
        return Say(calls=[call("db")]) if not rounds(request) else Say(answer(known=False, ruled_out=["the db is up"]))

    study = unsure(racing(refuter=refuter, main=main))
    incident = await study.run()
    assert incident.report is not None
    assert (incident.report.root_cause, incident.report.next_checks) == ("unknown", ("ask the owner of the database",))
    assert "12% used" in told[0]
    assert "not confirmed" in told[0]


async def test_the_same_question_of_two_lines_is_asked_once() -> None:
    model = racing(
        losers=lambda request: Say(calls=[call("logs")]) if not rounds(request) else Say(answer(known=False))
    )
    study = unsure(model)
    await study.run()
    assert study.tools.calls.count(("logs", "{}")) == 1


@pytest.mark.parametrize("said", ["no json", '{"hypotheses": []}', hypotheses("", " ")])
async def test_without_hypotheses_there_is_no_race(said: str) -> None:
    model = ScriptedModel(said, answer())
    incident = await unsure(model).run()
    assert incident.report is not None
    assert incident.report.root_cause == "the database refuses connections"


async def test_a_line_that_fails_for_good_does_not_stop_the_others() -> None:
    incident = await unsure(racing(losers=Say("no json"))).run()
    assert incident.report is not None
    assert incident.report.root_cause == "the database refuses connections"


async def test_when_models_go_away_the_race_goes_on_later() -> None:
    study = unsure(racing(refuter=Fail()))
    await study.begin()
    with pytest.raises(Transient):
        await study.go_on()
    asked = len(study.tools.calls)
    study.model = racing()
    incident = await study.go_on()
    assert incident.report is not None
    assert incident.report.root_cause == "the database refuses connections"
    assert not study.model.asked("hypotheses"), "they are in the journal"
    assert len(study.tools.calls) <= asked + 2, "nothing is looked at twice"


async def test_cancelled_in_the_middle_of_a_race_nothing_runs_on() -> None:
    block = Block()
    study = unsure(racing(losers=block, refuter=block))
    await study.begin()
    running = asyncio.create_task(study.go_on())
    await block.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
