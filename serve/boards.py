"""The front page's content, read from the store with as few looks as possible."""

from collections.abc import AsyncIterator

import msgspec

from midwatch.domain.errors import Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident
from midwatch.services.ports import IncidentSummary
from serve.dependencies import Edge, Subsystem
from serve.views import Board, board_of, tile_of, urgency

_MOST_OPEN = 1000
_SHOWN, _PAST = 40, 8


class Boards:
    """Builds boards for all viewers of one replica; an incident is read again only when its journal moved on."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._known: dict[IncidentId, Incident] = {}

    async def read(self) -> Board:
        """The board as it stands."""
        journal = self._edge.journal
        opened = sorted(await journal.recent(open_only=True, limit=_MOST_OPEN), key=urgency, reverse=True)
        self._known = {row.id: await self._incident(row) for row in opened[:_SHOWN]}
        past = [row for row in await journal.recent(limit=_SHOWN) if row.state.final][:_PAST]
        pauses = await self._edge.pauses.active(self._edge.clock.now())
        board = board_of(
            tuple(tile_of(row, self._known.get(row.id)) for row in opened),
            tuple(tile_of(row, None) for row in past),
            await self._edge.health(),
            shown=_SHOWN,
        )
        return msgspec.structs.replace(board, pauses=tuple(pause.sentence for pause in pauses))

    async def _incident(self, row: IncidentSummary) -> Incident:
        incident = self._known.get(row.id)
        return incident if incident and incident.seq >= row.seq else await self._edge.journal.read(row.id)

    async def follow(self) -> AsyncIterator[Board | None]:
        """The board now and whenever it changed; ``None`` is a heartbeat."""
        shown: Board | None = None
        quiet_s = 0.0
        limits = self._edge.limits
        while True:
            try:
                board = await self.read()
            except Transient:
                board = _blind(shown)
            if board != shown:
                shown, quiet_s = board, 0.0
                yield board
            elif quiet_s >= limits.heartbeat_s:
                quiet_s = 0.0
                yield None
            await self._edge.clock.sleep(limits.poll_s)
            quiet_s += limits.poll_s


def _blind(shown: Board | None) -> Board:
    """What to show while the store is away: the last known incidents, and the truth about them."""
    store = Subsystem(name="store", ok=False, detail="away; it is being waited for", required=True)
    blank = board_of((), (), (store,))
    if shown is None:
        return blank
    return Board(
        headline="The store is away",
        subline="What you see is the last that was known. Nothing accepted is lost.",
        tone="bad",
        open=shown.open,
        more=shown.more,
        past=shown.past,
        parts=blank.parts,
    )
