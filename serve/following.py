"""Following an incident's journal: the entries after a number, then each new one as it comes."""

import logging
from collections.abc import AsyncIterator

from midwatch.domain.errors import Transient
from midwatch.domain.events import Entry
from midwatch.domain.ids import IncidentId
from serve.dependencies import Edge

log = logging.getLogger(__name__)

_PAGE = 500
_SLOWER = 10


async def follow(
    edge: Edge, incident: IncidentId, after: int, *, linger_s: float = 0.0
) -> AsyncIterator[tuple[Entry, ...]]:
    """Batches of entries with ``seq > after``; an empty batch is a heartbeat. Ends when the incident is over.

    ``linger_s`` is how long it stays after that, looking less often: what fires again soon is taken up again. Read from
    the store by polling, so that any replica can serve any viewer and none has to be told of anything. A store that is
    away is waited for: a viewer keeps what is on the screen.
    """
    limits = edge.limits
    quiet_s, over_s, final = 0.0, 0.0, False
    while True:
        pause_s = limits.poll_s
        try:
            if batch := await edge.journal.entries(incident, after=after, limit=_PAGE):
                after, quiet_s, over_s, final = batch[-1].seq, 0.0, 0.0, False
                yield batch
                continue
            if not final and (await edge.journal.read(incident)).state.final:
                final = True
                continue  # what was written before that is read first
            if final:
                if over_s >= linger_s:
                    return
                pause_s *= _SLOWER
                over_s += pause_s
        except Transient as error:
            log.info("a live view waits for the store", extra={"incident": incident, "error": str(error)})
            pause_s = max(pause_s, error.retry_in)
        await edge.clock.sleep(pause_s)
        quiet_s += pause_s
        if quiet_s >= limits.heartbeat_s:
            quiet_s = 0.0
            yield ()


def resume_point(last_event_id: str, after: int) -> int:
    """Where a stream goes on: the reconnecting client's own word first (``Last-Event-ID``), then the query's."""
    return int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < 10 else max(0, after)
