"""PlaybookExecutor: compiles plans and carries out allowed ones, exactly once, undoing what did not help."""

from actors.clients import ActorBells
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.remediation import open_remediation
from midwatch.domain.incidents import Work

_PLANS_AT_ONCE = 8
_RUNS_AT_ONCE = 16
_ENDLESS = 1_000_000
"""Waiting for a busy object is no failure; the execution itself knows when to give up."""


class PlaybookExecutor(Resident):
    """The only actor with tools that can change anything; they run in a process of their own.

    It plans too: a server-side dry-run asks for the same right as the act, and no other process is given that right.
    """

    async def run(self, resources: Resources) -> None:
        bells = ActorBells(self._settings.active_channels)
        async with (
            open_remediation(resources, bells) as (planning, execution, freeing, shadowing),
            resources.desk((Work.PLAN,), planning, bells, slots=_PLANS_AT_ONCE, on_free=self._woken.set) as plans,
            resources.desk(
                (Work.EXECUTE,),
                execution,
                bells,
                slots=_RUNS_AT_ONCE,
                on_free=self._woken.set,
                max_attempts=_ENDLESS,
            ) as runs,
        ):

            async def turn() -> None:
                await freeing.free_forsaken()
                await plans.drain()
                await runs.drain()
                await shadowing.drain()

            await self.turns(turn)
