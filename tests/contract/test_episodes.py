"""What the rule engine asks of many episodes at once, and which incident of a key ended last."""

from datetime import timedelta

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.ids import IncidentId, IncidentKey
from midwatch.domain.incidents import State
from midwatch.domain.reasons import Reason
from midwatch.domain.signals import SignalStatus
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON
from tests.fakes.samples import a_signal, attached, cleared, opened, resolved

A, B = IncidentId("0000000a-0000-7000-8000-000000000001"), IncidentId("0000000b-0000-7000-8000-000000000002")
KEY = IncidentKey("k")


async def test_of_many_episodes_those_that_are_over_are_told(store: AnyStore) -> None:
    first, second = a_signal(1, pod="web-1"), a_signal(2, pod="web-2")
    over = msgspec.structs.replace(a_signal(3, pod="web-2"), status=SignalStatus.RESOLVED)
    await store.inbox.put([first, second, over])
    wanted = {first.episode, second.episode, "of nobody"}
    assert await store.inbox.resolved_among(wanted) == {second.episode}
    assert await store.inbox.resolved_among(()) == frozenset()


async def test_of_many_episodes_the_incidents_are_told(store: AnyStore) -> None:
    signals = [a_signal(number, pod=f"web-{number}") for number in (1, 2, 3)]
    await store.inbox.put(signals)
    told = [(signals[0].id, Reason.RULE_MATCHED, A), (signals[1].id, Reason.NO_RULE, None)]
    await store.inbox.settle(told)
    assert await store.inbox.incidents_of([signal.episode for signal in signals]) == {signals[0].episode: A}
    assert await store.inbox.incidents_of([]) == {}


async def test_the_incident_of_a_key_that_ended_last_is_found_for_a_while(store: AnyStore) -> None:
    for incident_id, minutes in ((A, 0), (B, 10)):
        at = NOON + timedelta(minutes=minutes)
        incident = await store.journal.open(incident_id, [opened(KEY), attached()], at=at, by="test")
        assert await store.journal.find_ended(KEY, since=at) is None, "an open one has not ended"
        await store.journal.append(incident, [cleared(), resolved()], at=at, by="test")
    found = await store.journal.find_ended(KEY, since=NOON)
    assert found is not None
    assert found.id == B
    assert await store.journal.find_ended(KEY, since=NOON + timedelta(minutes=11)) is None
    assert await store.journal.find_ended(IncidentKey("other"), since=NOON) is None


async def test_a_reopened_incident_holds_its_key_again(store: AnyStore) -> None:
    incident = await store.journal.open(A, [opened(KEY), attached()], at=NOON, by="test")
    ended = await store.journal.append(incident, [cleared(), resolved()], at=NOON, by="test")
    again = ev.Reopened(reason=Reason.REOPENED_IN_COOLDOWN)
    reopened = await store.journal.append(ended, [again, attached(2)], at=NOON, by="test")
    assert reopened.state is State.OPEN
    assert await store.journal.find_open(KEY) == reopened
    assert await store.journal.find_ended(KEY, since=NOON) is None
