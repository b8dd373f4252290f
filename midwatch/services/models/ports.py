"""Ports of the chain: one provider, what counts calls, and a layer of middleware."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from midwatch.domain.dialogue import AssistantTurn, ModelReply, ModelRequest, StopReason, Usage
from midwatch.domain.errors import Permanent
from midwatch.services.model_ports import OnText


class RequestRejected(Permanent):
    """This provider will not answer this request; it answers others, and another provider may answer this one."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider answered, before it is priced. ``model`` is the name the provider gives itself."""

    turn: AssistantTurn
    stop: StopReason
    usage: Usage
    model: str


OnWaste = Callable[[Usage], None]
"""Told what an attempt has used that ended without an answer; must not raise or block."""


class Waste(msgspec.Struct, frozen=True):
    """What one attempt cost that brought no answer: tokens, as told or estimated, and US dollars."""

    provider: str
    model: str
    usage: Usage
    usd: float


OnLoss = Callable[[Waste], None]


def ignored(usage: Usage) -> None:
    """For who does not count."""


class Provider(Protocol):
    """One configured provider."""

    @property
    def name(self) -> str: ...

    def model_of(self, request: ModelRequest) -> str:
        """The model this request would be asked of."""
        ...

    def unfit(self, request: ModelRequest) -> str:
        """Why this provider cannot serve the request as it is meant; empty when it can."""
        ...

    async def ask(self, request: ModelRequest, on_text: OnText | None, on_waste: OnWaste = ignored) -> Said:
        """One attempt. ``Transient`` (with the provider's own ``retry-after``), :class:`RequestRejected`, or
        ``Permanent`` when the provider must be configured otherwise. Silence and half an answer are ``Transient``.
        ``on_waste`` is told what they have used, as far as it is known, when the provider had begun to work on them.
        """
        ...

    async def check(self) -> str:
        """Ask the provider for one word; what answered. Errors as :meth:`ask`."""
        ...

    async def close(self) -> None: ...


class Meter(Protocol):
    """Counts each attempt. ``outcome`` is ``ok`` or the error's class name; must not raise or block."""

    def __call__(self, provider: str, model: str, outcome: str, usage: Usage, usd: float, seconds: float) -> None: ...


def unmetered(provider: str, model: str, outcome: str, usage: Usage, usd: float, seconds: float) -> None:
    """Counts nothing."""


class Middleware:
    """Sees every call before it goes out and after it came back. Override what is needed.

    ``Refused`` always ends the call. What else a layer raises is judged by its ``critical`` flag.
    """

    async def before(self, request: ModelRequest) -> ModelRequest | ModelReply:
        """The request as it goes on, or the answer where no model need be asked."""
        return request

    async def after(self, request: ModelRequest, reply: ModelReply) -> ModelReply:  # noqa: ARG002
        """The reply as it goes back; ``request`` is what this layer's ``before`` was given."""
        return reply

    async def failed(self, request: ModelRequest, error: BaseException) -> None:
        """The call ended by ``error`` (or was cancelled) after this layer's ``before``; let go of what is held."""

    def retry_in(self, error: Exception, attempt: int) -> float | None:  # noqa: ARG002
        """Seconds after which the same provider is asked again, ``None`` to leave it at ``attempt`` attempts."""
        return None


class AnswerUnfit(Exception):
    """A layer does not accept the answer: the model is told ``sentence`` and asked once more."""

    def __init__(self, sentence: str, reply: ModelReply) -> None:
        super().__init__(sentence, reply)
        self.sentence, self.reply = sentence, reply
