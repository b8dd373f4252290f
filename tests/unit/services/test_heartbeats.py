"""The dead man's switch: off until a heartbeat is known, told once however often it is looked at, cleared by a beat."""

from datetime import timedelta

import msgspec
import pytest

from midwatch.domain.heartbeats import CONDITION, Heartbeat, fallen_silent, is_heartbeat, patience
from midwatch.domain.signals import Signal, SignalStatus
from midwatch.services.heartbeats import DeadMan
from midwatch.services.ingestion import Intake
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.samples import a_signal
from tests.fakes.stores import MemoryStore

MINUTE = timedelta(minutes=1)
LEARNT = timedelta(0)


class Watch:
    """A house that hears one Watchdog; every look is a process of its own unless told otherwise."""

    def __init__(self) -> None:
        self.store, self.clock, self.ids = MemoryStore(), ManualClock(), CountingIds()
        self.rings = 0
        self.door = Intake(self.store.inbox, self.ring, self.store.heartbeats)

    def ring(self) -> None:
        self.rings += 1

    async def beat(self, cluster: str = "alpha") -> None:
        signal = msgspec.structs.replace(
            a_signal(source="alertmanager", cluster=cluster, at=self.clock.now()),
            condition="PipelineHeartbeat",
            labels={"alertname": "Watchdog"},
        )
        await self.door.accept([signal])

    def man(self, expected: timedelta = LEARNT) -> DeadMan:
        return DeadMan(
            self.store.heartbeats,
            self.store.inbox,
            self.door,
            self.clock,
            self.ids,
            cluster="alpha",
            expected=expected,
        )

    async def told(self) -> list[tuple[str, SignalStatus]]:
        rows = await self.store.inbox.recent()
        return [(row.signal.cluster, row.signal.status) for row in reversed(rows) if row.signal.condition == CONDITION]


@pytest.fixture
def watch() -> Watch:
    return Watch()


async def test_the_silence_of_a_known_heartbeat_is_told_once_and_cleared_by_its_return(watch: Watch) -> None:
    man = watch.man()
    for _ in range(4):
        await watch.beat()
        watch.clock.advance(300)
        assert await man.look() == 0
    watch.clock.advance(9 * 60)  # 14 minutes since the last beat: three times five are allowed
    assert await man.look() == 0
    watch.clock.advance(2 * 60)
    assert [await man.look(), await man.look()] == [1, 0]
    watch.clock.advance(3600)
    assert await man.look() == 0
    await watch.beat()
    watch.clock.advance(10)
    assert await man.look() == 1
    assert await watch.told() == [("alpha", SignalStatus.FIRING), ("alpha", SignalStatus.RESOLVED)]


async def test_a_restart_neither_forgets_nor_repeats_nor_accuses_too_early(watch: Watch) -> None:
    for _ in range(3):
        await watch.beat()
        watch.clock.advance(60)
    watch.clock.advance(3600)  # we were down: nobody could be heard
    man = watch.man()
    assert await man.look() == 0
    watch.clock.advance(660)
    assert await man.look() == 1
    again = watch.man()
    assert await again.look() == 0  # neither resolved in the time of grace
    watch.clock.advance(660)
    assert await again.look() == 0  # nor told twice after it
    assert await watch.told() == [("alpha", SignalStatus.FIRING)]


async def test_nobody_is_missed_who_was_never_heard(watch: Watch) -> None:
    man = watch.man()
    watch.clock.advance(86_400)
    assert await man.look() == 0
    await watch.beat()
    await watch.beat()
    watch.clock.advance(86_400)
    assert await man.look() == 0  # once is not enough to know how often it comes
    assert await watch.told() == []


async def test_what_a_person_expects_is_missed_though_it_never_came(watch: Watch) -> None:
    man = watch.man(expected=5 * MINUTE)
    assert await man.look() == 0
    watch.clock.advance(301)
    assert await man.look() == 1
    await watch.beat(cluster="prod-eu")  # any heartbeat will do: which cluster it calls itself is the sender's word
    watch.clock.advance(10)
    assert await man.look() == 1
    assert [status for _, status in await watch.told()] == [SignalStatus.FIRING, SignalStatus.RESOLVED]


@pytest.mark.parametrize(
    ("gap_s", "beats", "expected", "allowed"),
    [
        (60.0, 9, LEARNT, 15 * MINUTE),
        (4 * 3600.0, 9, LEARNT, timedelta(hours=12)),
        (60.0, 2, LEARNT, None),
        (4 * 3600.0, 9, 7 * MINUTE, 7 * MINUTE),
        (0.0, 0, 7 * MINUTE, 7 * MINUTE),
        (0.0, 0, LEARNT, None),
    ],
)
def test_patience(gap_s: float, beats: int, expected: timedelta, allowed: timedelta | None) -> None:
    beat = Heartbeat(cluster="alpha", source="alertmanager", name="Watchdog", seen_at=NOON, gap_s=gap_s, beats=beats)
    assert patience(beat, expected) == allowed
    silent = fallen_silent([beat], expected, NOON + allowed + MINUTE) if allowed else ()
    assert silent == ((beat,) if allowed else ())


def test_only_a_firing_heartbeat_is_a_sign_of_life() -> None:
    signal: Signal = msgspec.structs.replace(a_signal(), labels={"alertname": "Watchdog"})
    assert is_heartbeat(signal)
    assert not is_heartbeat(msgspec.structs.replace(signal, status=SignalStatus.RESOLVED))
    assert not is_heartbeat(msgspec.structs.replace(signal, labels={"alertname": "InfoInhibitor"}))
