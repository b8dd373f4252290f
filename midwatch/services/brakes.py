"""Brakes: the one place that is asked before anything is changed, whoever allowed it.

Pauses and executions are rows, so that every process sees the same ones. An execution is counted in the transaction
that lets it begin: two that begin at once cannot both take the last place of an hour.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from msgspec import structs

from midwatch.domain.brakes import Deed, Pause
from midwatch.domain.errors import Invalid
from midwatch.domain.incidents import Incident, State
from midwatch.domain.playbooks import Plan, Verdict, VerdictKind
from midwatch.domain.policy import Context, Policy, decide, refuse, stopped
from midwatch.domain.reasons import Reason
from midwatch.domain.signals import Tier
from midwatch.services.runtime import Clock

T = TypeVar("T")
_HISTORY = timedelta(days=1)
"""Longer than any window of a policy that makes sense; :func:`window` takes the policy's own where it is longer."""


class PolicySource(Protocol):
    """The policy in force."""

    def current(self) -> Policy: ...


class PauseBook(Protocol):
    """The pauses that people called."""

    async def put(self, pause: Pause, *, by: str, at: datetime) -> None:
        """Commit a pause, or what it is changed to, and into the audit trail who said so."""
        ...

    async def active(self, now: datetime) -> tuple[Pause, ...]:
        """Those that hold at this instant, the first called first."""
        ...

    async def recent(self, *, limit: int = 100) -> tuple[Pause, ...]:
        """All, the last called first."""
        ...


class DeedBook(Protocol):
    """Executions that were let begin, and how they ended."""

    async def admit(
        self, key: str, *, now: datetime, since: datetime, judge: Callable[[tuple[Deed, ...]], T | None]
    ) -> T | None:
        """Write the deed down unless ``judge`` objects to the others since then; one at a time, house-wide.

        Returns the objection. A key that is written already (whoever wrote it died before it began) is judged again and
        not counted twice; an objection to it takes it back, unless it has ended.
        """
        ...

    async def end(self, key: str, *, at: datetime, failed: bool) -> None:
        """How it ended. Silent for an unknown key; the first word stands."""
        ...

    async def withdraw(self, key: str) -> None:
        """It did not begin after all."""
        ...

    async def since(self, at: datetime) -> tuple[Deed, ...]:
        """Deeds that began, or ended, at ``at`` or later; the oldest first."""
        ...


class Brakes:
    """Says what stands against a plan now, and counts what begins."""

    def __init__(self, pauses: PauseBook, deeds: DeedBook, policy: PolicySource, clock: Clock) -> None:
        self._pauses, self._deeds, self._policy, self._clock = pauses, deeds, policy, clock

    async def context(self, incident: Incident) -> Context:
        """What policy is to know of the incident and the last hours."""
        now = self._clock.now()
        return _context(incident, await self._pauses.active(now), await self._deeds.since(now - self._window()))

    async def stopped(self, plan: Plan | None) -> tuple[Reason, str] | None:
        """Why nothing that the plan touches may be changed now, ``None`` when it may: asked before each act."""
        now = self._clock.now()
        return None if plan is None else stopped(self._policy.current(), await self._pauses.active(now), plan, now)

    async def admit(self, incident: Incident) -> Verdict | None:
        """Let the incident's plan begin and count it, or the refusal that stands against it.

        What was allowed to run alone must still be by the policy of this instant: it may have waited for long.
        """
        plan = incident.plan
        if plan is None:
            raise Invalid(f"{incident.id}: nothing to let begin without a plan")
        now, policy = self._clock.now(), self._policy.current()
        pauses = await self._pauses.active(now)

        def judge(others: tuple[Deed, ...]) -> Verdict | None:
            context = _context(incident, pauses, others)
            if incident.verdict is None or incident.verdict.kind is not VerdictKind.AUTO:
                return refuse(plan, policy, context, now)
            # How often it was right in shadow mode was counted when it was planned.
            verdict = decide(plan, policy, structs.replace(context, shadow_good=policy.alone_after_good), now)
            return None if verdict.kind is VerdictKind.AUTO else verdict

        return await self._deeds.admit(deed_key(incident), now=now, since=now - self._window(), judge=judge)

    async def ended(self, incident: Incident, *, failed: bool) -> None:
        """The execution is over."""
        await self._deeds.end(deed_key(incident), at=self._clock.now(), failed=failed)

    async def withdrawn(self, incident: Incident) -> None:
        """The execution did not begin after all."""
        await self._deeds.withdraw(deed_key(incident))

    def _window(self) -> timedelta:
        return max(_HISTORY, timedelta(seconds=self._policy.current().circuit_window_s))


def deed_key(incident: Incident) -> str:
    """An incident carries out one plan in its life, and one more each time it is opened again."""
    return f"{incident.id}:{incident.reopened}"


def _context(incident: Incident, pauses: tuple[Pause, ...], deeds: tuple[Deed, ...]) -> Context:
    own = deed_key(incident)
    others = [deed for deed in deeds if deed.key != own]
    # Nothing runs alone beside a person who was told to take over.
    told = incident.state is State.ESCALATED and incident.tier is Tier.AUTONOMOUS
    return Context(
        tier=Tier.SUPERVISED if told else incident.tier,
        confidence=incident.report.confidence if incident.report else 0.0,
        threshold=incident.threshold,
        since=incident.opened_at,
        cluster=incident.cluster,
        acted_at=tuple(deed.at for deed in others),
        failed_at=tuple(deed.ended_at for deed in others if deed.failed and deed.ended_at is not None),
        pauses=pauses,
    )
