"""Built-in middleware: logging, validation, redaction, limits, response cache, retry."""

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from datetime import datetime, timedelta

import msgspec

from midwatch.domain import schemas
from midwatch.domain.budgets import Budget, check
from midwatch.domain.dialogue import (
    ModelReply,
    ModelRequest,
    StopReason,
    ToolCall,
    ToolTurn,
    Turn,
    Usage,
    UserTurn,
)
from midwatch.domain.errors import Invalid, Refused, Transient
from midwatch.domain.histories import mispaired, paired
from midwatch.domain.masking import mask
from midwatch.services.models.ports import AnswerUnfit, Middleware
from midwatch.services.runtime import Clock
from midwatch.services.spending import DayMeter

TRAFFIC = "midwatch.traffic.model"
"""The logger of all model traffic; it has a file of its own."""

log = logging.getLogger(__name__)


class Logging(Middleware):
    """One line a call and one an answer; what was said only at DEBUG, masked."""

    def __init__(self) -> None:
        self._log = logging.getLogger(TRAFFIC)

    async def before(self, request: ModelRequest) -> ModelRequest:
        self._log.info("asked", extra={**_about(request), "turns": len(request.turns), "tools": len(request.tools)})
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug("request", extra={"body": mask(msgspec.json.encode(request).decode())})
        return request

    async def after(self, request: ModelRequest, reply: ModelReply) -> ModelReply:
        used = reply.usage
        facts = {
            "provider": reply.provider,
            "model": reply.model,
            "stop": str(reply.stop),
            "tokens_in": used.input,
            "tokens_out": used.output,
            "cache_read": used.cache_read,
            "cache_write": used.cache_write,
            "usd": round(reply.cost_usd, 6),
            "took_ms": reply.took_ms,
        }
        self._log.info("answered", extra={**_about(request), **facts})
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug("reply", extra={"body": mask(msgspec.json.encode(reply).decode())})
        return reply

    async def failed(self, request: ModelRequest, error: BaseException) -> None:
        self._log.warning("not answered", extra={**_about(request), "error": f"{type(error).__name__}: {error}"})


def _about(request: ModelRequest) -> dict[str, object]:
    return {"incident": request.incident, "purpose": request.purpose, "tier": str(request.tier)}


class Validation(Middleware):
    """Outgoing: a history that pairs, a schema that is one. Incoming: an answer of the form that was asked for."""

    async def before(self, request: ModelRequest) -> ModelRequest:
        if request.schema:
            schemas.parsed(request.schema)
        names = [tool.name for tool in request.tools]
        if len(set(names)) < len(names):
            raise Invalid("two tools of one name were offered to a model")
        if wrong := mispaired(request.turns):
            log.warning("history repaired", extra={"calls": wrong, "incident": request.incident})
        turns = paired(request.turns)
        return request if turns == request.turns else msgspec.structs.replace(request, turns=turns)

    async def after(self, request: ModelRequest, reply: ModelReply) -> ModelReply:
        if request.schema and reply.stop is StopReason.DONE and not reply.turn.calls:
            bare = _unfenced(reply.turn.text)
            if why := schemas.misfit(bare, request.schema):
                raise AnswerUnfit(f"That answer cannot be used: {why}. Answer with JSON of the form asked for.", reply)
            if bare != reply.turn.text:
                turn = msgspec.structs.replace(reply.turn, text=bare)
                return msgspec.structs.replace(reply, turn=turn)
        return reply


def _unfenced(text: str) -> str:
    """JSON without the Markdown fence that some models put round it."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare.partition("\n")[2].rpartition("```")[0].strip()
    return bare


class Redaction(Middleware):
    """Masks every text that goes out."""

    async def before(self, request: ModelRequest) -> ModelRequest:
        tools = tuple(msgspec.structs.replace(tool, description=mask(tool.description)) for tool in request.tools)
        turns = tuple(_masked(turn) for turn in request.turns)
        return msgspec.structs.replace(request, system=mask(request.system), turns=turns, tools=tools)


def _masked(turn: Turn) -> Turn:
    if isinstance(turn, UserTurn):
        return UserTurn(mask(turn.text))
    if isinstance(turn, ToolTurn):
        return ToolTurn(tuple(msgspec.structs.replace(each, text=mask(each.text)) for each in turn.results))
    calls = tuple(_masked_call(call) for call in turn.calls)
    # what a vendor signed cannot be changed: it goes back as it is, or not at all
    native = turn.native if mask(turn.native) == turn.native else ""
    return msgspec.structs.replace(turn, text=mask(turn.text), calls=calls, native=native)


def _masked_call(call: ToolCall) -> ToolCall:
    arguments = mask(call.arguments)
    if arguments == call.arguments:
        return call
    try:
        msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        arguments = "{}"
    return msgspec.structs.replace(call, arguments=arguments)


class Limits(Middleware):
    """Refuses when the day's budget is spent or a request is too large; slows down to a rate; bounds those at once.

    ``per_minute`` and ``at_once``: 0 is no limit. ``request_tokens``: of one request, four characters a token.
    """

    def __init__(
        self,
        clock: Clock,
        meter: DayMeter,
        day: Budget,
        *,
        per_minute: int = 0,
        at_once: int = 0,
        request_tokens: int = 0,
    ) -> None:
        self._clock, self._meter, self._day = clock, meter, day
        self._per_minute, self._request_tokens = per_minute, request_tokens
        self._gate = asyncio.Semaphore(at_once) if at_once else None
        self._begun: deque[datetime] = deque()

    async def before(self, request: ModelRequest) -> ModelRequest:
        reached = check(self._day, await self._meter.today(), self._clock.now())
        if reached is not None:
            raise Refused(reached, "The day's budget for models is spent; it begins anew at midnight UTC.")
        if self._request_tokens and _size(request) > self._request_tokens * 4:
            raise Refused("request-too-large", f"The request is larger than {self._request_tokens} tokens.")
        await self._pace()
        if self._gate is not None:
            await self._gate.acquire()
        return request

    async def after(self, request: ModelRequest, reply: ModelReply) -> ModelReply:  # noqa: ARG002
        self._leave()
        return reply

    async def failed(self, request: ModelRequest, error: BaseException) -> None:  # noqa: ARG002
        self._leave()

    def _leave(self) -> None:
        if self._gate is not None:
            self._gate.release()

    async def _pace(self) -> None:
        while self._per_minute:
            now = self._clock.now()
            while self._begun and now - self._begun[0] >= timedelta(minutes=1):
                self._begun.popleft()
            if len(self._begun) < self._per_minute:
                self._begun.append(now)
                return
            await self._clock.sleep((self._begun[0] + timedelta(minutes=1) - now).total_seconds())


def _size(request: ModelRequest) -> int:
    return len(msgspec.json.encode(request))


class ResponseCache(Middleware):
    """The same request within ``ttl_s`` seconds gets the same answer, for nothing. The newest ``entries`` are kept."""

    def __init__(self, clock: Clock, *, ttl_s: float = 300.0, entries: int = 256) -> None:
        self._clock, self._ttl, self._entries = clock, timedelta(seconds=ttl_s), entries
        self._kept: OrderedDict[bytes, tuple[datetime, ModelReply]] = OrderedDict()

    async def before(self, request: ModelRequest) -> ModelRequest | ModelReply:
        kept = self._kept.get(_key(request))
        if kept is None or self._clock.now() - kept[0] >= self._ttl:
            return request
        return msgspec.structs.replace(kept[1], usage=Usage(), cost_usd=0.0, took_ms=0.0)

    async def after(self, request: ModelRequest, reply: ModelReply) -> ModelReply:
        if reply.stop in {StopReason.DONE, StopReason.TOOLS}:
            self._kept[_key(request)] = (self._clock.now(), reply)
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)
        return reply


def _key(request: ModelRequest) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(request), digest_size=16).digest()


class Retry(Middleware):
    """Asks the same provider again, ``attempts`` times in all, after the wait it asked for, or ``base_s`` doubled each
    time. A wait above ``longest_s`` is not worth it: the next provider is asked.
    """

    def __init__(self, *, attempts: int = 3, base_s: float = 0.5, longest_s: float = 10.0) -> None:
        self._attempts, self._base_s, self._longest_s = attempts, base_s, longest_s

    def retry_in(self, error: Exception, attempt: int) -> float | None:
        if not isinstance(error, Transient) or attempt >= self._attempts:
            return None
        wait = max(error.retry_in, self._base_s * 2 ** (attempt - 1))
        return wait if wait <= self._longest_s else None
