"""What models cost an incident: the sums that its journal tells, by model."""

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.reasons import Reason

NOBODY = "-"
"""Stands for the model where none answered, so that what was begun belongs to no one model."""


class ModelSpend(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model's part in an incident: answered calls, tokens of any kind, US dollars, and the tools it called."""

    provider: str
    model: str
    calls: int = 0
    tool_calls: int = 0
    tokens: int = 0
    usd: float = 0.0


def spent_after(
    spending: tuple[ModelSpend, ...], event: ev.ToolCalled | ev.ModelTurned | ev.ModelBroke
) -> tuple[ModelSpend, ...]:
    """The sums after one more event. A tool that was really called counts for the model that spoke last."""
    match event:
        case ev.ModelTurned():
            reply = event.reply
            more = ModelSpend(
                provider=reply.provider, model=reply.model, calls=1, tokens=reply.usage.tokens, usd=reply.cost_usd
            )
        case ev.ModelBroke():
            more = ModelSpend(provider=NOBODY, model=NOBODY, tokens=event.tokens, usd=event.usd)
        case ev.ToolCalled():
            called = event.iteration and not event.of
            if not called or not spending or event.reason in (Reason.LIMIT_REACHED, Reason.CALL_INVALID):
                return spending
            more = ModelSpend(provider=spending[-1].provider, model=spending[-1].model, tool_calls=1)
    before = next((each for each in spending if (each.provider, each.model) == (more.provider, more.model)), None)
    others = tuple(each for each in spending if each is not before)
    return (*others, _together(before, more) if before else more)


def _together(one: ModelSpend, other: ModelSpend) -> ModelSpend:
    return ModelSpend(
        provider=one.provider,
        model=one.model,
        calls=one.calls + other.calls,
        tool_calls=one.tool_calls + other.tool_calls,
        tokens=one.tokens + other.tokens,
        usd=one.usd + other.usd,
    )
