"""Following an incident's journal: the entries after a number, then each new one as it comes."""

import logging
from collections.abc import AsyncIterator

from midwatch.domain.errors import Transient
from midwatch.domain.events import Entry
from midwatch.domain.ids import IncidentId
from serve.dependencies import Edge

log = logging.getLogger(__name__)

_PAGE = 500


async def follow(edge: Edge, incident: IncidentId, after: int) -> AsyncIterator[tuple[Entry, ...]]:
    """Batches of entries with ``seq > after``; an empty batch is a heartbeat. Ends when nothing more can happen.

    Read from the store by polling, so that any replica can serve any viewer and none has to be told of anything. A
    store that is away is waited for: a viewer keeps what is on the screen.
    """
    quiet_s, final = 0.0, False
    while True:
        pause_s = edge.limits.poll_s
        try:
            if batch := await edge.journal.entries(incident, after=after, limit=_PAGE):
                after, quiet_s = batch[-1].seq, 0.0
                yield batch
                continue
            if final:
                return
            current = await edge.journal.read(incident)
            final = current.state.final
            if final:
                continue
        except Transient as error:
            log.info("a live view waits for the store", extra={"incident": incident, "error": str(error)})
            pause_s = max(pause_s, error.retry_in)
        await edge.clock.sleep(pause_s)
        quiet_s += pause_s
        if quiet_s >= edge.limits.heartbeat_s:
            quiet_s = 0.0
            yield ()


def resume_point(last_event_id: str, after: int) -> int:
    """Where a stream goes on: the reconnecting client's own word first (``Last-Event-ID``), then the query's."""
    return int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < 10 else max(0, after)
