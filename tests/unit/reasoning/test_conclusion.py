"""What a model claims is checked: evidence against what was seen, playbooks against the catalogue, objects, doubt."""

import msgspec
import pytest

from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.dialogue import AssistantTurn, ModelReply, StopReason, Usage
from midwatch.domain.errors import Invalid
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.services.reasoning.answers import parse_answer, parse_hypotheses
from midwatch.services.reasoning.conclusion import judge
from midwatch.services.reasoning.memory import Memory
from midwatch.services.reasoning.outputs import Output
from tests.fakes.reasoning import FIRST, LOG, PLAYBOOKS, Study, answer
from tests.fakes.samples import POD

REPLY = ModelReply(turn=AssistantTurn("x"), stop=StopReason.DONE, usage=Usage(), provider="stub", model="m")


async def judged(first: Diagnosis = FIRST, **changes: object) -> tuple[Diagnosis, Reason | None]:
    incident = await Study(None, first=first).begin()
    memory = Memory()
    long = "a" * 395 + "needle in the seam" + "b" * 900
    memory.outputs = {
        "3.1": Output(call_id="3.1", tool="kubernetes.log", input="web-1/app", text=LOG),
        "m-1.1": Output(call_id="m-1.1", tool="events", input="{}", text=f"first\n{long}\nlast"),
        "m-2.1": Output(call_id="m-2.1", tool="events", input="{}", text="", of="m-1.1"),
    }
    verdict = judge(parse_answer(answer(**changes)), REPLY, incident, first, memory, PLAYBOOKS, lambda text: text)
    return verdict.diagnosis, verdict.objection


@pytest.mark.parametrize(
    ("cited", "found"),
    [
        ({"call_id": "3.1", "line": 3, "quote": "panic: connection refused"}, ("3.1", 3)),
        ({"call_id": "[3.1]", "line": 3, "quote": "connection refused"}, ("3.1", 3)),
        ({"call_id": "3.1", "line": 1, "quote": "connection refused"}, ("3.1", 3)),
        ({"call_id": "3.1", "line": None, "quote": "3| panic:  connection   refused"}, ("3.1", 3)),
        ({"call_id": "3.1", "line": 2, "quote": "db:5432\npanic: connection"}, ("3.1", 2)),
        ({"call_id": "m-1.1", "line": 2, "quote": "needle in the seam"}, ("m-1.1", 2)),
        ({"call_id": "m-2.1", "line": 1, "quote": "first"}, ("m-1.1", 1)),
        ({"call_id": "3.1", "line": 3, "quote": "panic: out of memory"}, None),
        ({"call_id": "9.9", "line": 3, "quote": "panic: connection refused"}, None),
        ({"call_id": "3.1", "line": 3, "quote": "a"}, None),
        ({"call_id": "3.1", "line": 3, "quote": ""}, None),
        ({}, None),
    ],
    ids=[
        *("exact", "brackets", "wrong-line", "spaces", "two-lines", "seam", "repeated-call"),
        *("not-there", "no-such-call", "too-short", "empty", "nothing"),
    ],
)
async def test_evidence_must_have_been_seen(cited: dict[str, object], found: tuple[str, int] | None) -> None:
    diagnosis, objection = await judged(evidence=[cited])
    assert [(item.call_id, item.line) for item in diagnosis.evidence] == ([found] if found else [])
    assert (objection is Reason.EVIDENCE_MISSING) == (found is None)
    assert bool(found) != any("dropped" in note for note in diagnosis.notes)


@pytest.mark.parametrize(("count", "most"), [(1, 0.7), (2, 0.85), (3, 0.95)])
async def test_an_answer_is_believed_as_far_as_its_evidence_carries(count: int, most: float) -> None:
    quotes = ["starting", "connecting to db", "connection refused", "exit status 2"]
    cited = [{"call_id": "3.1", "quote": quote} for quote in quotes[:count]]
    diagnosis, _ = await judged(evidence=[*cited, *cited], confidence=1.0)
    assert diagnosis.confidence == most, "the same line twice counts once"
    humble, _ = await judged(evidence=cited, confidence=0.4)
    assert humble.confidence == 0.4
    assert not humble.notes


@pytest.mark.parametrize(
    ("changes", "playbook", "parameters", "note"),
    [
        ({"playbook": "restart-workload"}, "restart-workload", {}, "evidence carries"),
        (
            {"playbook": "raise-memory-limit", "parameters": [{"name": "factor", "value": 1.5}]},
            "raise-memory-limit",
            {"factor": "1.5"},
            "evidence carries",
        ),
        ({"playbook": "format-disk"}, "", {}, "not in the catalogue"),
        ({"playbook": "raise-memory-limit", "parameters": [{"name": "factor", "value": "99"}]}, "", {}, "dropped"),
        ({"playbook": "raise-memory-limit", "parameters": [{"name": "factor", "value": "$(sh)"}]}, "", {}, "dropped"),
        ({"playbook": "restart-workload", "parameters": [{"name": "force", "value": True}]}, "", {}, "dropped"),
    ],
    ids=["plain", "typed", "unknown", "out-of-bounds", "code", "no-such-parameter"],
)
async def test_a_playbook_is_the_catalogues_with_its_parameters_or_none(
    changes: dict[str, object], playbook: str, parameters: dict[str, str], note: str
) -> None:
    diagnosis, _ = await judged(**changes)
    assert (diagnosis.playbook, diagnosis.parameters) == (playbook, parameters)
    assert any(note in told for told in diagnosis.notes)


async def test_a_report_points_at_the_incidents_own_objects_only() -> None:
    mine, _ = await judged(subject={"kind": "Deployment", "name": "web", "namespace": "shop"})
    assert mine.subject == ObjectRef("Deployment", "web", "shop")
    other, _ = await judged(subject={"kind": "Deployment", "name": "coredns", "namespace": "kube-system"})
    assert other.subject == POD
    assert any("not part of this incident" in note for note in other.notes)


async def test_unknown_with_next_checks_is_an_answer_where_the_first_report_knew_nothing() -> None:
    nothing = msgspec.structs.replace(FIRST, root_cause="unknown", confidence=0.1)
    diagnosis, objection = await judged(nothing, known=False, confidence=0.9, playbook="restart-workload")
    assert not diagnosis.playbook
    assert (diagnosis.root_cause, diagnosis.next_checks, objection) == ("unknown", ("look at the database",), None)
    assert diagnosis.confidence <= 0.3
    _, objection = await judged(FIRST, known=False)
    assert objection is Reason.NOTHING_BETTER, "a cause that was found stands"
    _, objection = await judged(msgspec.structs.replace(nothing, next_checks=()), known=False, next_checks=[])
    assert objection is Reason.NOTHING_BETTER


async def test_a_condition_is_the_catalogues_or_the_first_reports() -> None:
    named, _ = await judged(condition="OOMKilled")
    assert named.condition == "OOMKilled"
    invented, _ = await judged(condition="Gremlins")
    assert (invented.condition, invented.family) == (FIRST.condition, FIRST.family)


@pytest.mark.parametrize(
    "text",
    [
        answer(),
        f"Here it is:\n```json\n{answer()}\n```\nDone.",
        f"I think {answer()} is right.",
        answer().replace("0.9", '"0.9"'),
        answer(confidence=90),
    ],
    ids=["plain", "fenced", "in-prose", "number-as-text", "percent"],
)
def test_an_answer_is_read_however_it_is_wrapped(text: str) -> None:
    found = parse_answer(text)
    assert (found.root_cause, found.confidence) == ("the database refuses connections", 0.9)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '{"root_cause": 1}', "{" * 5000, '{"root_cause": "x"'])
def test_what_is_no_answer_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        parse_answer(text)


def test_an_answer_is_bounded_in_every_length() -> None:
    many = ["x" * 10_000] * 1000
    told = answer(root_cause="y" * 10_000, factors=many, next_checks=many, title="t\nt" * 500, confidence=1e9)
    found = parse_answer(told)
    assert len(msgspec.json.encode(found)) < 30_000
    assert "\n" not in found.title
    assert found.confidence == 1.0


def test_hypotheses_are_few_and_different() -> None:
    told = '{"hypotheses": [{"cause": "a"}, {"cause": "a"}, {"cause": "b"}, {"cause": "c"}, {"cause": "d"}]}'
    assert len(parse_hypotheses(told, 3)) == 3
