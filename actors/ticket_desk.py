"""TicketDesk: keeps tickets up with the journal, where a ticket system is configured."""

from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.tickets import open_tickets


class TicketDesk(Resident):
    """One for all ticket systems. It is not rung: a ticket may be a sweep behind."""

    async def run(self, resources: Resources) -> None:
        async with open_tickets(resources) as systems:

            async def turn() -> None:
                for tickets in systems:
                    await tickets.drain()

            await self.turns(turn)
