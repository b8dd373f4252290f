"""ApprovalBroker: asks people, judges their clicks in order, and closes what nobody answered."""

from actors.clients import ActorBells
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.people import open_approvals
from midwatch.domain.incidents import Work
from midwatch.services.ports import Claim

_AT_ONCE = 8


class ApprovalBroker(Resident):
    """One per house: clicks are judged one after another, and the first valid decision wins."""

    async def run(self, resources: Resources) -> None:
        bells = ActorBells(self._settings.active_channels)
        async with open_approvals(resources, bells) as approvals:

            async def do(claim: Claim) -> None:
                if claim.work is Work.ASK:
                    await approvals.ask(claim)
                else:
                    await approvals.expire(claim)

            async with resources.desk(
                (Work.ASK, Work.AWAIT), do, bells, slots=_AT_ONCE, on_free=self._woken.set
            ) as desk:

                async def turn() -> None:
                    await approvals.ask_anew()
                    try:
                        await approvals.drain()
                    finally:  # one answer that cannot be judged yet keeps no question from being put, or from ending
                        await desk.drain()

                await self.turns(turn)
