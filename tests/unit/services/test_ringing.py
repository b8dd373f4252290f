"""Persist, then poke: whoever is needed next is rung, after the append and only then."""

import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.errors import Conflict
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Work
from midwatch.services.ringing import RingingJournal
from tests.fakes import samples
from tests.fakes.runtime import NOON
from tests.fakes.stores import MemoryStore


class Bells:
    def __init__(self) -> None:
        self.rung: list[str] = []

    def signals(self) -> None:
        self.rung.append("signals")

    def clicks(self) -> None:
        self.rung.append("clicks")

    def work(self, work: Work) -> None:
        self.rung.append(work.value)

    def changed(self) -> None:
        self.rung.append("changed")


async def follow(store: MemoryStore, *events: ev.AnyEvent) -> list[list[str]]:
    """What was rung after the opening and after each event that follows."""
    bells = Bells()
    journal = RingingJournal(store.journal, bells)
    incident: Incident = await journal.open(
        IncidentId("incident-1"), [samples.opened(), samples.attached()], at=NOON, by="t"
    )
    rings = [bells.rung[:]]
    for event in events:
        bells.rung.clear()
        incident = await journal.append(incident, [event], at=NOON, by="t")
        rings.append(bells.rung[:])
    return rings


async def test_each_stage_rings_the_next(store: MemoryStore) -> None:
    assert await follow(
        store, samples.report(), samples.proposed(), samples.requested(), samples.approval_closed(), samples.resolved()
    ) == [
        ["investigate", "changed"],
        ["plan", "changed"],
        ["ask", "changed"],
        ["changed"],  # what waits for an instant needs no ring: the sweep finds it when it is due
        ["execute", "changed"],
        ["changed"],
    ]


async def test_a_rejection_rings_no_executor(store: MemoryStore) -> None:
    events = (samples.report(), samples.proposed(), samples.requested())
    closed = samples.approval_closed(outcome=ApprovalOutcome.REJECTED)
    assert "execute" not in (await follow(store, *events, closed))[-1]


async def test_what_was_not_written_rings_nobody(store: MemoryStore) -> None:
    bells = Bells()
    journal = RingingJournal(store.journal, bells)
    events: list[ev.AnyEvent] = [samples.opened(), samples.attached()]
    incident = await journal.open(IncidentId("incident-1"), events, at=NOON, by="t")
    await journal.append(incident, [samples.report()], at=NOON, by="t")
    bells.rung.clear()

    with pytest.raises(Conflict):
        await journal.append(incident, [samples.report()], at=NOON, by="late")
    with pytest.raises(Conflict):
        await journal.open(IncidentId("incident-2"), events, at=NOON, by="t")
    assert bells.rung == []
