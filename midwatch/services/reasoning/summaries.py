"""Long answers in short, by the small model. A summary is a convenience: without one the answer is shown in part."""

import logging

from midwatch.domain.dialogue import ModelReply, ModelRequest, ModelTier, UserTurn
from midwatch.domain.errors import MidwatchError
from midwatch.domain.ids import IncidentId
from midwatch.services.model_ports import Model
from midwatch.services.reasoning.fencing import Fence, lines_of, numbered
from midwatch.services.reasoning.limits import Meter
from midwatch.services.reasoning.memory import SUMMARISE
from midwatch.services.reasoning.prompt import SUMMARISER

log = logging.getLogger(__name__)

_READ = 60_000


class Summaries:
    """Asks the small model what in a long answer matters."""

    def __init__(self, model: Model, meter: Meter, incident: IncidentId, about: str) -> None:
        self._model, self._meter, self._incident, self._about = model, meter, incident, about

    async def of(self, call_id: str, tool: str, text: str, nonce: str) -> ModelReply | None:
        """A summary with line numbers, or ``None`` where there is no money or no model for one."""
        if self._meter.tight():
            return None
        lines = lines_of(text)
        read = numbered(lines)
        if len(read) > _READ:
            read = f"{read[: _READ // 2]}\n… left out …\n{read[-_READ // 2 :]}"
        fence = Fence(nonce)
        told = f"{fence('what it is about', self._about)}\n\nThe answer of {tool}:\n{fence(f'{call_id} {tool}', read)}"
        request = ModelRequest(
            system=SUMMARISER,
            turns=(UserTurn(told),),
            tier=ModelTier.SMALL,
            max_tokens=800,
            purpose=SUMMARISE,
            incident=self._incident,
        )
        self._meter.under_way += 1
        try:
            return await self._model.ask(request)
        except MidwatchError as error:
            log.info("no summary", extra={"incident": self._incident, "error": str(error)})
            return None
        finally:
            self._meter.under_way -= 1
