"""A cluster of one deployment that a test holds in its hand: it acts, rolls out, and counts what was done to it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Self

import msgspec

from midwatch.domain.actions import RESTORE
from midwatch.domain.errors import Conflict, NotFound
from midwatch.domain.observed import ContainerSeen, Observed, PodSeen, RevisionSeen
from midwatch.domain.refs import ObjectRef
from midwatch.services.effects import ActionCall, Effect, Outcome
from tests.fakes.runtime import NOON

WEB = ObjectRef("Deployment", "web", "shop", "uid-web")


class HastyClock:
    """Time passes only while somebody sleeps, and then at once."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class FakeCluster:
    """One deployment ``shop/web``. ``heals``: whether a change makes its pods ready.

    Implements ``LiveObjects`` and ``ActionRunner`` with the promises of the real ones: one effect per key, and
    ``Conflict`` for another uid or generation.
    """

    def __init__(self, *, heals: bool = True, memory: str = "256Mi") -> None:
        self.heals = heals
        self.seen = Observed(
            ref=WEB,
            generation=3,
            observed_generation=3,
            resource_version="100",
            desired=2,
            total=2,
            updated=2,
            revision=3,
            revisions=(RevisionSeen(number=2, ready=1), RevisionSeen(number=3)),
            containers=(ContainerSeen(name="app", memory_limit=memory),),
            pods=(PodSeen(name="web-1", failing=("app",)), PodSeen(name="web-2", failing=("app",))),
        )
        self.mutations: list[tuple[str, str]] = []
        self.on_call: Callable[[str], None] = lambda _: None
        """Called before and after everything, with what it is; may raise."""
        self.after_act: Callable[[], Awaitable[None]] | None = None
        """Awaited when an act has taken effect."""

    @property
    def memory(self) -> str:
        return self.seen.containers[0].memory_limit

    def of(self, cluster: str) -> Self:
        return self

    async def observe(self, ref: ObjectRef) -> Observed | None:
        self.on_call("before observe")
        found = self.seen if ref.path == WEB.path else None
        if ref.kind == "Pod" and any(pod.name == ref.name for pod in self.seen.pods):
            found = Observed(ref=msgspec.structs.replace(ref, uid=f"uid-{ref.name}"), owners=(WEB,))
        self.on_call("after observe")
        return found

    async def rehearse(self, call: ActionCall) -> Outcome:
        self.on_call("before rehearse")
        self._expect(call)
        outcome = Outcome(effect=Effect.DRY_RUN, before=self._before(), generation=self.seen.generation + 1, diff="+x")
        self.on_call("after rehearse")
        return outcome

    async def act(self, call: ActionCall) -> Outcome:
        self.on_call("before act")
        outcome = self._act(call)
        self.on_call("after act")
        if self.after_act is not None:
            await self.after_act()
        return outcome

    def edited(self) -> None:
        """Somebody else changes the spec."""
        self.seen = msgspec.structs.replace(self.seen, generation=self.seen.generation + 1)

    def _act(self, call: ActionCall) -> Outcome:
        if self.seen.last_action == call.key:
            return Outcome(effect=Effect.ALREADY_APPLIED, generation=self.seen.generation)
        self._expect(call)
        before = self._before()
        self.mutations.append((call.action, call.key))
        memory = str(call.params.get("memory_limit", self.memory))
        if call.action == RESTORE:
            memory = msgspec.json.decode(call.before)["memory"]
        well = self.heals and call.action != RESTORE
        generation = self.seen.generation + 1
        self.seen = msgspec.structs.replace(
            self.seen,
            generation=generation,
            observed_generation=generation,
            last_action=call.key,
            containers=(ContainerSeen(name="app", memory_limit=memory),),
            available=2 if well else 0,
            ready=2 if well else 0,
            pods=tuple(PodSeen(name=f"web-{generation}-{number}", ready=well) for number in range(2)),
        )
        return Outcome(effect=Effect.APPLIED, before=before, after=self._before(), generation=generation)

    def _before(self) -> str:
        return msgspec.json.encode({"memory": self.memory}).decode()

    def _expect(self, call: ActionCall) -> None:
        if call.ref.path != WEB.path:
            raise NotFound(f"{call.ref} does not exist")
        if call.ref.uid != self.seen.ref.uid or call.generation not in (None, self.seen.generation):
            raise Conflict(f"{call.ref} is not the one expected")
