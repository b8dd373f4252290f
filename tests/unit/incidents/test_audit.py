"""The audit trail: what goes in, and that whatever is done to it later shows."""

from datetime import timedelta

import msgspec
import pytest

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.audit import START, AuditRecord, AuditRow, Broken, audited, chained, verify
from midwatch.domain.ids import IncidentId
from tests.fakes.runtime import NOON
from tests.fakes.samples import approval_closed, attached, cleared, opened, proposed, report, resolved

INCIDENT = IncidentId("0000000a-0000-7000-8000-000000000001")


def an_entry(event: ev.AnyEvent, by: str = "approval-broker") -> ev.Entry:
    return ev.Entry(incident=INCIDENT, seq=7, at=NOON, by=by, event=event)


def a_trail(length: int = 5) -> tuple[AuditRow, ...]:
    records = [
        AuditRecord(
            at=NOON + timedelta(seconds=number), who="console:ann", what="approval-closed", why="quorum", about=INCIDENT
        )
        for number in range(length)
    ]
    return chained(records, number=0, previous=START)


@pytest.mark.parametrize("event", [opened(), attached(), cleared(), report()], ids=lambda event: type(event).__name__)
def test_what_was_only_observed_is_not_recorded(event: ev.AnyEvent) -> None:
    assert audited(an_entry(event)) is None


@pytest.mark.parametrize("event", [proposed(), approval_closed(), resolved()], ids=lambda event: type(event).__name__)
def test_what_was_decided_or_done_is_recorded_with_all_that_the_journal_says(event: ev.AnyEvent) -> None:
    record = audited(an_entry(event))
    assert record is not None
    assert (record.about, record.seq, record.at, record.why) == (INCIDENT, 7, NOON, event.reason.value)
    assert msgspec.json.decode(record.data.encode(), type=ev.AnyEvent) == event


def test_the_person_is_named_and_not_the_actor_that_wrote_it_down() -> None:
    person = audited(an_entry(approval_closed()))
    nobody = audited(an_entry(approval_closed(outcome=ApprovalOutcome.VOID)))
    assert person is not None
    assert nobody is not None
    assert (person.who, nobody.who) == ("console:ann", "approval-broker")


def test_a_trail_that_nobody_touched_is_whole() -> None:
    rows = a_trail()
    assert verify(rows) == rows[-1]
    assert verify(()) is None
    assert verify(rows[2:], number=2, previous=rows[1].hash) == rows[-1]


def test_a_changed_row_is_named() -> None:
    rows = list(a_trail())
    rows[2] = msgspec.structs.replace(rows[2], record=msgspec.structs.replace(rows[2].record, who="console:mallory"))
    broken = verify(rows)
    assert isinstance(broken, Broken)
    assert (broken.number, "was changed" in broken.fault) == (3, True)


def test_a_row_that_was_written_anew_with_its_own_hash_breaks_the_next_one() -> None:
    rows = list(a_trail())
    forged = msgspec.structs.replace(rows[2].record, why="nothing")
    rows[2:3] = chained([forged], number=2, previous=rows[1].hash)
    assert verify(rows) == Broken(4, "does not follow the row before it: that one was changed or taken out")


def test_a_row_that_was_taken_out_is_missed() -> None:
    rows = a_trail()
    broken = verify((*rows[:2], *rows[3:]))
    assert isinstance(broken, Broken)
    assert (broken.number, "is missing" in broken.fault) == (3, True)
