"""What both adapters share: the record, the switches, and patience."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import httpx2

from midwatch.adapters.llm import errors
from midwatch.domain.dialogue import ModelRequest, ModelTier, Turn, UserTurn
from midwatch.domain.providers import BASE_URLS, Provider, habits
from midwatch.services.model_ports import OnText
from midwatch.services.models.ports import Said

T = TypeVar("T")

_CHARACTERS = 4
"""Of a token, about; only for the question whether a request fits a provider at all."""


class BaseProvider:
    """A configured provider. ``key`` is the secret itself and never leaves this object but to the vendor."""

    def __init__(
        self,
        name: str,
        record: Provider,
        key: str,
        *,
        base_url: str = "",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Opens nothing; ``base_url`` is the record's with references resolved, empty for the kind's own."""
        self._name, self.record, self.key, self.transport = name, record, key, transport
        self.switches = habits(record)
        self.base_url = base_url or record.base_url or BASE_URLS.get(record.kind, "")

    @property
    def name(self) -> str:
        return self._name

    def model_of(self, request: ModelRequest) -> str:
        """The model asked for where it is one of this provider's, else the one of the tier."""
        names = self.record.models
        return (
            request.model if request.model in {names.large, names.small} and request.model else names.of(request.tier)
        )

    def unfit(self, request: ModelRequest) -> str:
        if request.tools and not self.switches.tools:
            return f"{self._name} cannot call tools"
        if self.record.context_tokens and _length(request) > self.record.context_tokens * _CHARACTERS:
            return f"the request is longer than the {self.record.context_tokens} tokens {self._name} takes"
        return ""

    async def check(self) -> str:
        question = ModelRequest(
            system="You are asked whether you can be reached.",
            turns=(UserTurn("Answer with the word: here"),),
            tier=ModelTier.SMALL,
            max_tokens=256,
            purpose="check",
        )
        return (await self.ask(question, None)).model or self.model_of(question)

    async def ask(self, request: ModelRequest, on_text: OnText | None) -> Said:
        """See the port."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError

    async def in_time(self, waiting: Awaitable[T]) -> T:
        """What is waited for, or ``Transient`` after ``idle_s`` of silence."""
        try:
            async with asyncio.timeout(self.record.idle_s) as patience:
                return await waiting
        except TimeoutError as error:
            if patience.expired():
                raise errors.silent(self._name, self.record.idle_s) from error
            raise


def _length(request: ModelRequest) -> int:
    return (
        len(request.system) + sum(_said(turn) for turn in request.turns) + sum(len(t.parameters) for t in request.tools)
    )


def _said(turn: Turn) -> int:
    if isinstance(turn, UserTurn):
        return len(turn.text)
    if hasattr(turn, "results"):
        return sum(len(result.text) for result in turn.results)
    return len(turn.text) + sum(len(call.arguments) for call in turn.calls)
