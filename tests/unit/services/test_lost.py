"""Lost resolves: ended by the live object and never by silence alone; a late repeat is news again."""

from datetime import timedelta

import msgspec
import pytest

from midwatch.domain.events import SignalCleared
from midwatch.domain.incidents import Member
from midwatch.domain.lost import Silence, Standing, judge, silent_since
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.rules import Matcher, Rule, RuleSet
from midwatch.services.ingestion import AsNamed, Ingestion
from midwatch.services.lost import LostResolves
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.samples import POD, a_signal
from tests.fakes.stores import MemoryStore

AFTER = timedelta(hours=12)


class AnyRule:
    def current(self) -> RuleSet:
        return RuleSet([Rule(id="any", match=Matcher())])


class Nobody(AsNamed):
    async def top_owner(self, cluster: str, subject: ObjectRef) -> ObjectRef:
        return subject


class House:
    def __init__(self) -> None:
        self.store, self.clock, self.ids = MemoryStore(), ManualClock(), CountingIds(100)
        self.standing = Standing.UNSEEN
        self.looked = 0
        self.lost = LostResolves(self.store.inbox, self.store.journal, self, self.clock, by="rule-engine", after=AFTER)

    async def standing_of(self, cluster: str, ref: ObjectRef) -> Standing:
        assert (cluster, ref) == ("alpha", POD)
        self.looked += 1
        return self.standing

    async def take(self, number: int = 1) -> None:
        await self.store.inbox.put([a_signal(number, source="alertmanager", at=self.clock.now())])
        store = self.store
        rules = Ingestion(
            store.inbox, store.journal, store.work, AnyRule(), Nobody(), self.clock, self.ids, by="rule-engine"
        )
        await rules.drain()

    async def active(self) -> int:
        (row,) = await self.store.journal.recent()
        return row.active


async def test_an_alert_ends_only_after_its_object_was_seen_to_be_well() -> None:
    house = House()
    await house.take()
    assert await house.lost.look() == 0
    house.clock.advance(11 * 3600)
    assert (await house.lost.look(), house.looked) == (0, 0)
    for standing in (Standing.UNSEEN, Standing.TROUBLED):
        house.standing = standing
        house.clock.advance(3600)
        assert await house.lost.look() == 0
    assert (house.looked, await house.active()) == (2, 1)
    house.standing = Standing.WELL
    house.clock.advance(3600)
    assert (await house.lost.look(), await house.active()) == (1, 0)
    (row,) = await house.store.journal.recent()
    event = (await house.store.journal.entries(row.id))[-1].event
    assert isinstance(event, SignalCleared)
    assert (event.reason, event.detail) == (Reason.RESOLVE_LOST, f"No word for 14 h, and {POD} is well.")
    house.clock.advance(3600)
    assert await house.lost.look() == 0


async def test_a_repeat_is_a_word_and_one_that_comes_too_late_is_news() -> None:
    house = House()
    house.standing = Standing.WELL
    await house.take()
    await house.lost.look()
    house.clock.advance(11 * 3600)
    await house.take(2)  # the same episode told again
    await house.lost.look()
    house.clock.advance(11 * 3600)
    assert (await house.lost.look(), house.looked) == (0, 0)
    house.clock.advance(2 * 3600)
    assert await house.lost.look() == 1
    assert await house.active() == 0
    await house.take(3)
    assert await house.active() == 1


def member(condition: str = "CrashLoopBackOff", source: str = "alertmanager") -> Member:
    return Member(
        identity="i",
        episode="e",
        source=source,
        condition=condition,
        severity=Severity.ERROR,
        subject=POD,
        first_at=NOON,
        last_at=NOON,
    )


@pytest.mark.parametrize(
    ("condition", "source", "standing", "over", "reason"),
    [
        ("CrashLoopBackOff", "alertmanager", Standing.WELL, True, Reason.RESOLVE_LOST),
        ("CrashLoopBackOff/AppError", "grafana", Standing.WELL, True, Reason.RESOLVE_LOST),
        ("HighLatency", "alertmanager", Standing.GONE, True, Reason.OBJECT_GONE),
        ("HighLatency", "alertmanager", Standing.WELL, False, Reason.CANNOT_BE_SEEN),
        ("CrashLoopBackOff", "alertmanager", Standing.UNSEEN, False, Reason.CANNOT_BE_SEEN),
        ("CrashLoopBackOff", "post", Standing.TROUBLED, False, Reason.STILL_TROUBLED),
        ("CrashLoopBackOff", "watch", Standing.GONE, False, Reason.STILL_TOLD),
        ("WatchdogSilent", "midwatch", Standing.GONE, False, Reason.STILL_TOLD),
    ],
)
def test_what_a_look_means(condition: str, source: str, standing: Standing, over: bool, reason: Reason) -> None:
    lost = judge(member(condition, source), Silence(0, NOON), standing, after=AFTER, now=NOON + AFTER)
    assert (lost.over, lost.reason) == (over, reason)
    early = judge(member(condition, source), Silence(0, NOON), standing, after=AFTER, now=NOON + AFTER / 2)
    assert (early.over, early.reason) == (False, Reason.STILL_TOLD)


def test_silence_begins_anew_with_every_repeat() -> None:
    first = silent_since(None, 2, NOON)
    assert silent_since(first, 2, NOON + AFTER) == first
    assert silent_since(first, 3, NOON + AFTER) == Silence(3, NOON + AFTER)
    assert msgspec.structs.asdict(first) == {"repeats": 2, "since": NOON}
