"""Checks and the patience of a verification: pure looks at an observed object."""

from datetime import timedelta

import msgspec
import pytest

from midwatch.domain.checks import Patience, Result, Scene, Standing, evaluate, verify
from midwatch.domain.observed import Observed, PodSeen
from midwatch.domain.playbooks import CHECKS, PROMQL, Check, Target
from midwatch.domain.refs import ObjectRef
from tests.fakes.runtime import NOON

REF = ObjectRef("Deployment", "web", "shop", "u1")
WELL = Observed(
    ref=REF,
    generation=2,
    observed_generation=2,
    desired=2,
    total=2,
    updated=2,
    available=2,
    ready=2,
    pods=(PodSeen(name="a", ready=True), PodSeen(name="b", ready=True)),
)
TARGET = Target(REF, generation=2)


def standing(name: str, active: int = 0, **changes: object) -> Standing:
    seen = msgspec.structs.replace(WELL, **changes)
    return evaluate(Check(name), Scene(TARGET, seen, active)).standing


@pytest.mark.parametrize(
    ("name", "changes", "wanted"),
    [
        ("exists", {}, Standing.HOLDING),
        ("exists", {"deleting": True}, Standing.BROKEN),
        ("unchanged", {}, Standing.HOLDING),
        ("unchanged", {"generation": 3}, Standing.BROKEN),
        ("unchanged", {"ref": msgspec.structs.replace(REF, uid="u2")}, Standing.BROKEN),
        ("rollout_complete", {}, Standing.HOLDING),
        ("rollout_complete", {"generation": 3}, Standing.PENDING),
        ("rollout_complete", {"updated": 1}, Standing.PENDING),
        ("rollout_complete", {"total": 3}, Standing.PENDING),
        ("rollout_complete", {"available": 1}, Standing.PENDING),
        ("rollout_complete", {"available": 1, "stuck": "ProgressDeadlineExceeded"}, Standing.BROKEN),
        ("pods_ready", {}, Standing.HOLDING),
        ("pods_ready", {"pods": (PodSeen(name="a", ready=True),)}, Standing.PENDING),
        ("pods_ready", {"pods": (*WELL.pods, PodSeen(name="c", waiting="CrashLoopBackOff"))}, Standing.PENDING),
        ("pods_ready", {"pods": (*WELL.pods, PodSeen(name="old", deleting=True))}, Standing.HOLDING),
        ("not_ready", {}, Standing.BROKEN),
        ("not_ready", {"ready": 1}, Standing.HOLDING),
        ("not_ready", {"ref": msgspec.structs.replace(REF, kind="Pod"), "desired": 1, "ready": 1}, Standing.BROKEN),
        ("not_ready", {"ref": msgspec.structs.replace(REF, kind="Pod"), "desired": 1, "ready": 0}, Standing.HOLDING),
        ("signals_clear", {}, Standing.HOLDING),
        ("gone", {}, Standing.PENDING),
        ("gone", {"ref": msgspec.structs.replace(REF, uid="u2")}, Standing.HOLDING),
        ("cordoned", {}, Standing.PENDING),
        ("cordoned", {"unschedulable": True}, Standing.HOLDING),
        ("drained", {"unschedulable": True}, Standing.PENDING),
        ("drained", {"unschedulable": True, "pods": ()}, Standing.HOLDING),
        ("drained", {"pods": ()}, Standing.BROKEN),
        ("scaled", {}, Standing.HOLDING),
        ("scaled", {"total": 1}, Standing.PENDING),
        ("finished", {}, Standing.BROKEN),
        ("finished", {"state": "Failed"}, Standing.HOLDING),
    ],
)
def test_where_a_check_stands(name: str, changes: dict[str, object], wanted: Standing) -> None:
    assert standing(name, **changes) is wanted  # type: ignore[arg-type]


def test_firing_signals_are_counted() -> None:
    assert standing("signals_clear", active=2) is Standing.PENDING


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_an_answer_for_anything(name: str) -> None:
    assert evaluate(Check(name), Scene(TARGET, WELL)).sentence
    gone = evaluate(Check(name), Scene(TARGET, None))
    expected = {"gone": Standing.HOLDING, "signals_clear": Standing.HOLDING, PROMQL: Standing.PENDING}
    assert gone.standing is expected.get(name, Standing.BROKEN)


HOLDING, PENDING, BROKEN = (Result(standing, standing) for standing in Standing)


def look(result: Result, patience: Patience, at: float, **check: float) -> tuple[Standing, Patience]:
    seen = verify((Check("pods_ready", **check),), (result,), patience, acted_at=NOON, now=NOON + timedelta(seconds=at))
    return seen.standing, seen.patience


def test_it_must_hold_without_a_break() -> None:
    patience = Patience()
    story = [(1, HOLDING, Standing.PENDING), (4, PENDING, Standing.PENDING), (6, HOLDING, Standing.PENDING)]
    story += [(14, HOLDING, Standing.PENDING), (16, HOLDING, Standing.HOLDING)]
    for at, result, wanted in story:
        standing, patience = look(result, patience, at, hold_s=10, timeout_s=60)
        assert standing is wanted, at


def test_it_fails_at_its_deadline() -> None:
    assert look(PENDING, Patience(), 59, timeout_s=60)[0] is Standing.PENDING
    assert look(PENDING, Patience(), 60, timeout_s=60)[0] is Standing.BROKEN


def test_what_cannot_come_fails_at_once() -> None:
    assert look(BROKEN, Patience(), 1, timeout_s=60)[0] is Standing.BROKEN


def test_a_late_look_does_not_undo_what_works() -> None:
    standing, patience = look(HOLDING, Patience(), 600, hold_s=10, timeout_s=60)
    assert standing is Standing.PENDING
    assert look(HOLDING, patience, 611, hold_s=10, timeout_s=60)[0] is Standing.HOLDING
    assert look(PENDING, patience, 605, hold_s=10, timeout_s=60)[0] is Standing.BROKEN
