"""Heartbeats: counted once each, their pauses remembered and worn down."""

from datetime import timedelta

from midwatch.domain.heartbeats import Heartbeat
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON

MINUTE = timedelta(minutes=1)


async def test_the_longest_pause_of_late_is_remembered(store: AnyStore) -> None:
    for minute in (0, 5, 5, 3, 25, 30):  # the second 5 and the 3 are late deliveries: nothing new
        await store.heartbeats.heard("alpha", "alertmanager", "Watchdog", NOON + minute * MINUTE)
    (beat,) = await store.heartbeats.all()
    assert (beat.seen_at, beat.beats) == (NOON + 30 * MINUTE, 4)
    assert round(beat.gap_s) == round(20 * 60 * 0.9)


async def test_what_is_expected_is_noted_once(store: AnyStore) -> None:
    await store.heartbeats.expect("alpha", "Watchdog", NOON)
    await store.heartbeats.expect("alpha", "Watchdog", NOON + MINUTE)
    await store.heartbeats.heard("al\x00pha", "grafana", "Watchdog", NOON)
    found = await store.heartbeats.all()
    assert Heartbeat(cluster="alpha", source="", name="Watchdog", seen_at=NOON) in found
    assert {beat.beats for beat in found} == {0, 1}
