"""Providers in order: retry the one that stumbles, let it cool down when it fails, go on with the next.

The history is in nobody's terms, so the next provider continues the same investigation.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from midwatch.domain.dialogue import ModelReply, ModelRequest, Usage
from midwatch.domain.errors import MidwatchError, Permanent, Transient
from midwatch.domain.providers import Price
from midwatch.services.model_ports import OnText
from midwatch.services.models.ports import Meter, OnLoss, Provider, RequestRejected, Said, Waste, unmetered
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

RetryIn = Callable[[Exception, int], float | None]
PriceOf = Callable[[str, str], Price]

_ALONE_S = 5.0
"""How long the only provider rests: there is nobody to go to meanwhile."""
_LONGEST_S = 600.0
_MISCONFIGURED_S = 300.0


def once(_error: Exception, _attempt: int) -> float | None:
    """Every provider is asked once."""
    return None


class Fallback:
    """The chain of providers. Cool-downs are this process's own: another process finds out for itself."""

    def __init__(
        self,
        providers: Sequence[Provider],
        clock: Clock,
        price_of: PriceOf,
        *,
        cooldown_s: float = 30.0,
        meter: Meter = unmetered,
    ) -> None:
        self.providers = tuple(providers)
        self._clock, self._price_of, self._meter = clock, price_of, meter
        self._cooldown_s = cooldown_s
        self._until: dict[str, tuple[datetime, MidwatchError]] = {}

    def ready(self) -> tuple[Provider, ...]:
        """Those that are not cooling down."""
        now = self._clock.now()
        return tuple(
            each for each in self.providers if each.name not in self._until or self._until[each.name][0] <= now
        )

    def resting(self) -> dict[str, datetime]:
        """Until when each of the others rests."""
        now = self._clock.now()
        return {name: until for name, (until, _) in self._until.items() if until > now}

    async def ask(
        self, request: ModelRequest, on_text: OnText | None, retry_in: RetryIn = once, on_loss: OnLoss | None = None
    ) -> ModelReply:
        """The first answer. ``Transient`` when a provider may answer later, ``Permanent`` when none ever will.

        ``on_loss`` hears of each attempt that cost something and brought nothing.
        """
        faults: list[tuple[str, Exception]] = []
        spoken = _Spoken(on_text)
        for provider in self.ready():
            if why := provider.unfit(request):
                log.info("provider skipped", extra={"provider": provider.name, "why": why})
                faults.append((provider.name, RequestRejected(why)))
                continue
            try:
                reply = await self._attempts(provider, request, spoken, retry_in, on_loss)
            except (Transient, Permanent) as error:
                faults.append((provider.name, error))
                self._rest(provider.name, error)
                continue
            self._until.pop(provider.name, None)
            return reply
        raise self._all_failed(faults)

    async def _attempts(
        self,
        provider: Provider,
        request: ModelRequest,
        spoken: "_Spoken",
        retry_in: RetryIn,
        on_loss: OnLoss | None,
    ) -> ModelReply:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(provider, request, spoken, on_loss)
            except Transient as error:
                wait = retry_in(error, attempt)
                if wait is None:
                    raise
                log.info("model is asked again", extra={"provider": provider.name, "wait_s": wait, "error": str(error)})
                await self._clock.sleep(wait)

    async def _attempt(
        self, provider: Provider, request: ModelRequest, spoken: "_Spoken", on_loss: OnLoss | None
    ) -> ModelReply:
        model, began = provider.model_of(request), time.monotonic()
        spoken.again()
        wasted: list[Usage] = []
        try:
            said = await provider.ask(request, spoken if spoken.wanted else None, wasted.append)
        except BaseException as error:
            seconds = time.monotonic() - began
            usage = sum(wasted, Usage())
            usd = self._price_of(provider.name, model).of(usage) if usage.tokens else 0.0
            self._meter(provider.name, model, type(error).__name__, usage, usd, seconds)
            if usage.tokens and on_loss is not None:
                on_loss(Waste(provider.name, model, usage, usd))
            raise
        seconds = time.monotonic() - began
        reply = self._priced(provider.name, model, said, seconds)
        self._meter(provider.name, model, "ok", said.usage, reply.cost_usd, seconds)
        return reply

    def _priced(self, provider: str, model: str, said: Said, seconds: float) -> ModelReply:
        return ModelReply(
            turn=said.turn,
            stop=said.stop,
            usage=said.usage,
            provider=provider,
            model=model,
            cost_usd=self._price_of(provider, model).of(said.usage),
            took_ms=round(seconds * 1000, 1),
        )

    def _rest(self, name: str, error: MidwatchError) -> None:
        if isinstance(error, RequestRejected):
            return  # it serves others
        if isinstance(error, Transient):
            usual = self._cooldown_s if len(self.providers) > 1 else min(self._cooldown_s, _ALONE_S)
            seconds = min(max(error.retry_in, usual), _LONGEST_S)
        else:
            seconds = _MISCONFIGURED_S
        self._until[name] = (self._clock.now() + timedelta(seconds=seconds), error)
        log.warning("provider rests", extra={"provider": name, "seconds": seconds, "error": str(error)})

    def _all_failed(self, faults: list[tuple[str, Exception]]) -> MidwatchError:
        if not self.providers:
            return Permanent("no model provider is configured with a key; see `midwatch doctor`")
        asked = {name for name, _ in faults}
        now = self._clock.now()
        resting = {name: row for name, row in self._until.items() if row[0] > now and name not in asked}
        told = [*faults, *((name, error) for name, (_, error) in resting.items())]
        what = "; ".join(f"{name}: {error}" for name, error in told)
        passing = [name for name, error in told if isinstance(error, Transient)]
        if not passing:
            return Permanent(f"no model provider can answer: {what}")
        waits = [(self._until[name][0] - now).total_seconds() for name in passing if name in self._until]
        return Transient(f"every model provider is away: {what}", max(0.1, min(waits, default=1.0)))


class _Spoken:
    """Passes text on. Where an attempt broke off in mid-answer, the next one begins on a line of its own."""

    def __init__(self, on_text: OnText | None) -> None:
        self._on_text, self._said = on_text, False

    @property
    def wanted(self) -> bool:
        return self._on_text is not None

    def again(self) -> None:
        if self._said and self._on_text is not None:
            self._on_text("\n\n")
        self._said = False

    def __call__(self, text: str) -> None:
        if self._on_text is not None:
            self._said = True
            self._on_text(text)
