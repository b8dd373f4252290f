"""A playbook in shadow mode says what it would do; a person does it or not; that is its score."""

from datetime import datetime

import msgspec
import pytest

from midwatch.domain.errors import Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import State, Work
from midwatch.domain.observed import ContainerSeen, Observed, PodSeen, RevisionSeen
from midwatch.domain.playbooks import Plan, PlanStep, Risk, Target, VerdictKind
from midwatch.domain.policy import Context, Policy, decide
from midwatch.domain.reasons import Reason
from midwatch.domain.recipes import Mode
from midwatch.domain.refs import ObjectRef
from midwatch.domain.shadows import Score, Shadow, judge, tallies
from midwatch.domain.signals import Tier
from midwatch.services.shadowing import Shadowing
from tests.fakes.cluster import WEB, FakeCluster, HastyClock
from tests.fakes.remedies import Bench
from tests.fakes.runtime import NOON


async def said(bench: Bench) -> None:
    """One incident that a playbook in shadow mode fits, and that is over then."""
    incident = await bench.planned(await bench.incident())
    assert incident.verdict is not None
    assert (incident.verdict.kind, incident.reason) == (VerdictKind.REFUSE, Reason.SHADOW)
    assert incident.state is State.ESCALATED
    assert not await bench.due(Work.EXECUTE)
    await bench.closes(incident)


async def test_policy_may_put_any_playbook_into_shadow() -> None:
    bench = Bench(policy=Policy(shadow=("restart-*",)))
    await said(bench)
    (kept,) = await bench.store.shadows.recent()
    assert (kept.playbook, kept.score) == ("restart-workload", None)
    assert not bench.cluster.mutations


async def test_a_playbook_may_put_itself_into_shadow_and_is_scored_afterwards() -> None:
    bench = Bench()
    found = bench.playbooks.get("restart-workload")
    assert found is not None
    shadowed = msgspec.structs.replace(found, mode=Mode.SHADOW)
    bench.playbooks = type(bench.playbooks)((shadowed, *(p for p in bench.playbooks.all if p.id != found.id)))
    await said(bench)
    assert await bench.shadowing.drain() == 1
    assert await bench.shadowing.drain() == 0
    (kept,) = await bench.store.shadows.recent()
    assert kept.score is Score.NOT_NEEDED


BEFORE = Observed(
    ref=WEB,
    generation=3,
    desired=2,
    containers=(ContainerSeen(name="app", image="a:2", memory_limit="256Mi"),),
    revisions=(RevisionSeen(number=1, images=("a:1",)), RevisionSeen(number=2, images=("a:2",))),
    pods=(PodSeen(name="x", uid="x"), PodSeen(name="y", uid="y")),
)


@pytest.mark.parametrize(
    ("action", "params", "change", "score"),
    [
        ("scale", {"replicas": 4}, {"desired": 4, "generation": 4}, Score.SAME),
        ("scale", {"replicas": 4}, {"desired": 3, "generation": 4}, Score.OTHER),
        ("scale", {"replicas": 4}, {}, Score.NOT_NEEDED),
        (
            "patch_resources",
            {"container": "app", "memory_limit": "512Mi"},
            {"containers": (ContainerSeen(name="app", memory_limit="512Mi"),), "generation": 4},
            Score.SAME,
        ),
        ("patch_resources", {"container": "app", "memory_limit": "512Mi"}, {"generation": 4}, Score.OTHER),
        (
            "rollout_undo",
            {"revision": 1},
            {"containers": (ContainerSeen(name="app", image="a:1"),), "generation": 4},
            Score.SAME,
        ),
        ("rollout_restart", {}, {"pods": (PodSeen(name="z", uid="z"),), "generation": 4}, Score.SAME),
        ("rollout_restart", {}, {"generation": 4}, Score.OTHER),
        ("rollout_restart", {}, {"ref": msgspec.structs.replace(WEB, uid="new")}, Score.OTHER),
        ("restart_pod", {}, {"ref": msgspec.structs.replace(WEB, uid="new")}, Score.SAME),
        ("cordon", {}, {"unschedulable": True, "generation": 5}, Score.SAME),
        ("cordon", {}, {"generation": 5}, Score.NOT_NEEDED),
        ("resume", {}, {"suspended": False}, Score.SAME),
    ],
)
def test_scores(action: str, params: dict[str, str | int | bool], change: dict[str, object], score: Score) -> None:
    step = PlanStep(action=action, target=Target(WEB), risk=Risk.MEDIUM, params=params)
    plan = Plan(playbook="p", playbook_digest="d", title="t", risk=Risk.MEDIUM, steps=(step,))
    assert judge(plan, BEFORE, msgspec.structs.replace(BEFORE, **change))[0] is score


def test_a_streak_ends_with_the_first_that_was_not_good() -> None:
    plan = Plan(playbook="p", playbook_digest="d", title="t", risk=Risk.LOW, steps=())
    scores = [Score.SAME, Score.OTHER, Score.SAME, Score.SAME, None]
    shadows = [
        Shadow(incident=str(n), playbook="p", at=NOON.replace(minute=n), plan=plan, before=BEFORE, score=score)  # type: ignore[arg-type]
        for n, score in enumerate(scores)
    ]
    (tally,) = tallies(shadows)
    assert (tally.said, tally.same, tally.other, tally.not_needed, tally.streak) == (5, 3, 1, 0, 2)


async def test_an_edited_playbook_begins_its_streak_anew() -> None:
    bench = Bench()
    plan = Plan(playbook="p", playbook_digest="as it was", title="t", risk=Risk.LOW, steps=())
    edited = msgspec.structs.replace(plan, playbook_digest="edited")

    async def right(made: Plan, minute: int) -> None:
        shadow = Shadow(
            incident=IncidentId(str(minute)),
            playbook="p",
            at=NOON.replace(minute=minute),
            plan=made,
            before=BEFORE,
            score=Score.SAME,
        )
        await bench.shadowing.keep(shadow)

    for minute in range(3):
        await right(plan, minute)
    assert await bench.shadowing.streak(plan) == 3
    assert await bench.shadowing.streak(edited) == 0
    await right(edited, 3)
    assert await bench.shadowing.streak(edited) == 1
    (tally,) = tallies(await bench.store.shadows.recent())
    assert (tally.same, tally.streak) == (4, 1)


@pytest.mark.parametrize(("good", "kind"), [(0, VerdictKind.ASK), (4, VerdictKind.ASK), (5, VerdictKind.AUTO)])
def test_only_after_enough_good_ones_may_it_run_alone(good: int, kind: VerdictKind) -> None:
    step = PlanStep(action="delete_finished_pod", target=Target(ObjectRef("Pod", "x", "shop", "u")), risk=Risk.LOW)
    plan = Plan(playbook="p", playbook_digest="d", title="t", risk=Risk.LOW, steps=(step,))
    context = Context(tier=Tier.AUTONOMOUS, confidence=1.0, shadow_good=good)
    verdict = decide(plan, Policy(alone_after_good=5), context, NOON)
    assert verdict.kind is kind


class Book:
    """Shadows whose incidents are over, the oldest first."""

    def __init__(self, *clusters: str) -> None:
        step = PlanStep(action="scale", target=Target(WEB), risk=Risk.MEDIUM, params={"replicas": 3})
        plan = Plan(playbook="p", playbook_digest="d", title="t", risk=Risk.MEDIUM, steps=(step,))
        self.scored: list[str] = []
        self.shadows = [
            Shadow(incident=IncidentId(f"{n:04}"), playbook="p", at=NOON, plan=plan, before=BEFORE, cluster=cluster)
            for n, cluster in enumerate(clusters)
        ]

    async def put(self, shadow: Shadow) -> None:
        raise NotImplementedError

    async def due(self, *, limit: int = 50) -> list[Shadow]:
        return [shadow for shadow in self.shadows if shadow.key not in self.scored][:limit]

    async def score(self, key: str, score: Score, *, at: datetime, detail: str) -> None:
        self.scored.append(key)

    async def recent(self, *, playbook: str = "", limit: int = 1000) -> list[Shadow]:
        raise NotImplementedError


class Away(FakeCluster):
    """A cluster that does not answer."""

    asked = 0

    async def observe(self, ref: ObjectRef) -> Observed | None:
        self.asked += 1
        raise Transient("the API server is away")


@pytest.mark.parametrize("unscorable", ["away", "not watched any more"])
async def test_what_cannot_be_scored_holds_up_no_other(unscorable: str) -> None:
    book, away = Book(*[unscorable] * 60, "test"), Away()
    shadowing = Shadowing(book, {"test": FakeCluster(), "away": away}, HastyClock())
    assert await shadowing.drain() == 1
    assert book.scored == [book.shadows[-1].key]
    assert away.asked == (unscorable == "away"), "a cluster that does not answer is asked once"
