"""What is said between Midwatch and a language model, in terms of no vendor: turns, tools, requests and replies.

An investigation's history is a tuple of turns, kept in the journal; each adapter translates it to its vendor's form
and back, so that another provider can go on in the middle of it.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec


class ModelTier(StrEnum):
    """Which of the two configured models is meant: ``small`` summarises and triages, ``large`` investigates."""

    SMALL = "small"
    LARGE = "large"


class StopReason(StrEnum):
    """Why a model stopped speaking."""

    DONE = "done"
    TOOLS = "tools"
    LENGTH = "length"
    REFUSAL = "refusal"


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as it is offered to a model. ``parameters`` is its JSON Schema, as JSON text."""

    name: str
    description: str
    parameters: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A model asks for a tool. ``arguments`` is a JSON object as text, exactly as the model gave it."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tool answered: masked, capped and fenced as data before it comes here."""

    call_id: str
    text: str
    ok: bool = True


class UserTurn(msgspec.Struct, frozen=True, tag="user"):
    """Something Midwatch (or, in a chat, a person) says to the model."""

    text: str


class AssistantTurn(msgspec.Struct, frozen=True, omit_defaults=True, tag="assistant"):
    """Something the model said, and the tools it asked for. Every call is answered by one result in the next turn.

    ``native`` keeps what one vendor wants back unchanged (signed thinking blocks), as JSON text; others ignore it.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    native: str = ""
    provider: str = ""


class ToolTurn(msgspec.Struct, frozen=True, tag="tools"):
    """The results of all calls of the assistant's turn before, one each."""

    results: tuple[ToolResult, ...]


Turn: TypeAlias = UserTurn | AssistantTurn | ToolTurn


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one or more model calls; ``input`` counts those not read from the provider's cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
        )

    @property
    def tokens(self) -> int:
        """All tokens together, as budgets count them."""
        return self.input + self.output + self.cache_read + self.cache_write


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a model. ``schema`` (JSON Schema as text) asks for an answer of that form instead of prose."""

    system: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()
    tier: ModelTier = ModelTier.LARGE
    model: str = ""
    max_tokens: int = 4096
    schema: str = ""
    purpose: str = "investigate"
    incident: str = ""


class ModelReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back: the turn to append to the history, why it ended, and what it cost (US dollars)."""

    turn: AssistantTurn
    stop: StopReason
    usage: Usage
    provider: str
    model: str
    cost_usd: float = 0.0
    took_ms: float = 0.0
