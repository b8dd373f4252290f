"""An investigation ends with a report, whatever the data, the analyser or the neighbours do."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from midwatch.domain import events as ev
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import ClaimLost, Invalid, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, State, Work
from midwatch.domain.reasons import Reason
from midwatch.services.investigation import Investigation, Look, Sight
from midwatch.services.ports import Claim
from tests.fakes import samples
from tests.fakes.runtime import NOON, ManualClock
from tests.fakes.stores import MemoryStore

FOUND = Diagnosis(root_cause="a bad release", summary="a bad release", confidence=0.9)
LOOKS = (
    Look(tool="get_object", input="{}", output="{}", took_ms=3.0),
    Look(tool="pod_logs", input="{}", output="forbidden", ok=False),
)


class Eyes:
    """Sees what it is told to; ``meanwhile`` runs while it looks."""

    def __init__(self, looks: Sequence[Look] = LOOKS) -> None:
        self.sight = Sight(looks=tuple(looks))
        self.trouble: Exception | None = None
        self.meanwhile: list[ev.AnyEvent] = []
        self.store: MemoryStore | None = None

    async def gather(self, incident: Incident) -> Sight:
        if self.trouble:
            raise self.trouble
        if self.meanwhile and self.store:
            current = await self.store.journal.read(incident.id)
            await self.store.journal.append(current, self.meanwhile, at=NOON, by="rules")
        return self.sight


async def opened(store: MemoryStore) -> Claim:
    """The claim to investigate a new incident."""
    await store.journal.open(IncidentId("incident-1"), [samples.opened(), samples.attached()], at=NOON, by="rules")
    return await claimed(store)


async def claimed(store: MemoryStore, owner: str = "worker") -> Claim:
    (claim,) = await store.work.claim([Work.INVESTIGATE], owner=owner, now=NOON, ttl=timedelta(seconds=0))
    return claim


def investigation(store: MemoryStore, clock: ManualClock, eyes: Eyes, found: object = FOUND) -> Investigation:
    def analyse(incident: Incident, sight: Sight) -> Diagnosis:
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Diagnosis)
        return found

    return Investigation(store.journal, eyes, analyse, clock, by="worker")


async def journal(store: MemoryStore) -> list[ev.AnyEvent]:
    return [entry.event for entry in await store.journal.entries(IncidentId("incident-1"))]


async def test_every_look_is_journalled_before_the_report_that_rests_on_it(
    store: MemoryStore, clock: ManualClock
) -> None:
    await investigation(store, clock, Eyes()).run(await opened(store))

    events = (await journal(store))[2:]
    assert [type(event) for event in events] == [ev.InvestigationStarted, ev.ToolCalled, ev.ToolCalled, ev.ReportMade]
    assert [event.reason for event in events[1:3]] == [Reason.EVIDENCE_GATHERED, Reason.EVIDENCE_UNAVAILABLE]
    calls = {event.call_id for event in events if isinstance(event, ev.ToolCalled)}
    assert len(calls) == 2, "evidence cites calls by id"
    incident = await store.journal.read(IncidentId("incident-1"))
    assert (incident.state, incident.report) == (State.INVESTIGATING, FOUND)
    assert await store.work.claim([Work.INVESTIGATE], owner="x", now=NOON, ttl=timedelta(1)) == ()


@pytest.mark.parametrize("bug", [Invalid("odd"), ValueError("odd"), KeyError("odd"), TypeError("odd")])
async def test_an_analyser_that_trips_leaves_a_report_that_says_so(
    store: MemoryStore, clock: ManualClock, bug: Exception
) -> None:
    await investigation(store, clock, Eyes(), bug).run(await opened(store))

    report = (await store.journal.read(IncidentId("incident-1"))).report
    assert report is not None
    assert report.root_cause == "unknown"
    assert type(bug).__name__ in report.summary
    assert report.next_checks, "and what to look at"
    assert report.confidence < 0.5, "low enough for a person to decide"


async def test_nothing_seen_at_all_is_still_a_report(store: MemoryStore, clock: ManualClock) -> None:
    await investigation(store, clock, Eyes(looks=())).run(await opened(store))
    assert (await store.journal.read(IncidentId("incident-1"))).report == FOUND


async def test_a_signal_that_joins_while_it_looks_costs_nothing(store: MemoryStore, clock: ManualClock) -> None:
    eyes = Eyes()
    eyes.store, eyes.meanwhile = store, [samples.attached(2, pod="web-2")]
    await investigation(store, clock, eyes).run(await opened(store))

    incident = await store.journal.read(IncidentId("incident-1"))
    assert incident.report == FOUND
    assert len(incident.active) == 2


async def test_a_second_attempt_counts_and_reports_once(store: MemoryStore, clock: ManualClock) -> None:
    eyes = Eyes()
    eyes.trouble = Transient("the store is away")
    first = await opened(store)
    with pytest.raises(Transient):
        await investigation(store, clock, eyes).run(first)
    eyes.trouble = None
    await investigation(store, clock, eyes).run(await claimed(store))

    events = await journal(store)
    attempts = [event.attempt for event in events if isinstance(event, ev.InvestigationStarted)]
    assert attempts == [1, 2]
    assert sum(isinstance(event, ev.ReportMade) for event in events) == 1


async def test_a_worker_whose_claim_was_taken_over_reports_nothing(store: MemoryStore, clock: ManualClock) -> None:
    class Slow(Eyes):
        async def gather(self, incident: Incident) -> Sight:
            await claimed(store, owner="successor")
            return self.sight

    with pytest.raises(ClaimLost):
        await investigation(store, clock, Slow()).run(await opened(store))
    assert not any(isinstance(event, ev.ReportMade) for event in await journal(store))


@pytest.mark.parametrize("there", [True, False])
async def test_the_first_report_says_whether_a_model_may_improve_it(
    store: MemoryStore, clock: ManualClock, there: bool
) -> None:
    async def model_there() -> bool:
        return there

    made = Investigation(store.journal, Eyes(), lambda *_: FOUND, clock, by="worker", model_there=model_there)
    await made.run(await opened(store))
    refine = await store.work.claim([Work.REFINE], owner="x", now=NOON, ttl=timedelta(1))
    assert bool(refine) is there
    assert await store.work.claim([Work.PLAN], owner="x", now=NOON, ttl=timedelta(1)), "the plan waits for no model"
