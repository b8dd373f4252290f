"""The port ``Model``: the middleware chain round the providers, rebuilt at once when the file of models changes."""

import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from midwatch.domain.dialogue import ModelReply, ModelRequest, Usage, UserTurn
from midwatch.domain.errors import Permanent, Transient
from midwatch.services.model_ports import AwayAtACost, OnText
from midwatch.services.models.chain import Chain
from midwatch.services.models.fallback import Fallback
from midwatch.services.models.ports import AnswerUnfit, Provider, Waste
from midwatch.services.spending import DayMeter

log = logging.getLogger(__name__)


class Built(msgspec.Struct, frozen=True):
    """What one state of the file comes to. ``mark`` is compared by identity: another mark, another state."""

    mark: object
    chain: Chain
    providers: Fallback


Build = Callable[[Built | None], Built]
"""The newest state: the one given when nothing changed."""


class Models:
    """See :class:`midwatch.services.model_ports.Model`."""

    def __init__(self, build: Build, meter: DayMeter) -> None:
        """Build at once. Raises what ``build`` raises."""
        self._build, self.meter = build, meter
        self._built = build(None)
        self._asking: dict[int, int] = {}
        self._old: list[Built] = []

    async def available(self) -> bool:
        return bool(self.current().providers.ready())

    async def ask(self, request: ModelRequest, on_text: OnText | None = None) -> ModelReply:
        built = self.current()
        key = id(built)
        self._asking[key] = self._asking.get(key, 0) + 1
        try:
            return await self._ask(built, request, on_text)
        finally:
            self._asking[key] -= 1
            await self._close_old()

    async def close(self) -> None:
        """Write down what is counted, and close all connections."""
        await self.meter.flush()
        for built in (*self._old, self._built):
            await _close(built, ())

    def current(self) -> Built:
        """The chain and the providers in force."""
        newest = self._build(self._built)
        if newest is not self._built:
            log.info("models read anew", extra={"providers": [each.name for each in newest.providers.providers]})
            self._old.append(self._built)
            self._built = newest
        return self._built

    async def _ask(self, built: Built, request: ModelRequest, on_text: OnText | None) -> ModelReply:
        async def ask(asked: ModelRequest) -> ModelReply:
            lost: list[Waste] = []
            try:
                reply = await built.providers.ask(asked, on_text, built.chain.retry_in, lost.append)
            except BaseException as error:
                self._lost(lost)
                if lost and isinstance(error, Transient):
                    raise _costly(error, lost) from error
                raise
            self._lost(lost)
            await self.meter.reply(reply)
            return _with_losses(reply, lost)

        try:
            return await built.chain.run(request, ask)
        except AnswerUnfit as unfit:
            return await _once_more(built.chain, request, unfit, ask)

    def _lost(self, lost: Sequence[Waste]) -> None:
        """Count for the day what brought nothing; it is written with what comes next."""
        for each in lost:
            self.meter.lost(each.provider, each.model, each.usage, each.usd)

    async def _close_old(self) -> None:
        """Close what was replaced, once nobody waits for its answer."""
        kept = self._built.providers.providers
        done = [built for built in self._old if not self._asking.get(id(built))]
        self._old = [built for built in self._old if built not in done]
        for built in done:
            self._asking.pop(id(built), None)
            await _close(built, kept)


def _with_losses(reply: ModelReply, lost: Sequence[Waste]) -> ModelReply:
    """The reply with what the attempts before it have cost: an incident pays for all of them."""
    if not lost:
        return reply
    usage = sum((each.usage for each in lost), reply.usage)
    return msgspec.structs.replace(reply, usage=usage, cost_usd=reply.cost_usd + sum(each.usd for each in lost))


def _costly(error: Transient, lost: Sequence[Waste]) -> AwayAtACost:
    usage = sum((each.usage for each in lost), Usage())
    return AwayAtACost(error.message, error.retry_in, usage.tokens, sum(each.usd for each in lost))


async def _once_more(
    chain: Chain, request: ModelRequest, unfit: AnswerUnfit, ask: Callable[[ModelRequest], Awaitable[ModelReply]]
) -> ModelReply:
    turns = (*request.turns, unfit.reply.turn, UserTurn(unfit.sentence))
    try:
        reply = await chain.run(msgspec.structs.replace(request, turns=turns), ask)
    except AnswerUnfit as again:
        raise Permanent(f"the model's answer cannot be used: {again.sentence}") from again
    first: Usage = unfit.reply.usage
    return msgspec.structs.replace(
        reply,
        usage=reply.usage + first,
        cost_usd=reply.cost_usd + unfit.reply.cost_usd,
        took_ms=reply.took_ms + unfit.reply.took_ms,
    )


async def _close(built: Built, kept: tuple[Provider, ...]) -> None:
    for provider in built.providers.providers:
        if provider not in kept:
            await provider.close()
