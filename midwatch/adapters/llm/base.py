"""What both adapters share: the record, the switches, one streamed call with its errors, and patience."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

import httpx2
import msgspec

from midwatch.adapters.llm import errors
from midwatch.adapters.llm.naming import ToolNames, tool_names
from midwatch.adapters.llm.stream import events
from midwatch.adapters.llm.transport import open_client
from midwatch.domain.dialogue import ModelRequest, ModelTier, Turn, Usage, UserTurn
from midwatch.domain.providers import BASE_URLS, Provider, habits
from midwatch.services.model_ports import OnText
from midwatch.services.models.ports import OnWaste, Said, ignored

T = TypeVar("T")
E = TypeVar("E")
"""One event of a vendor's stream."""
Json = dict[str, object]

_CHARACTERS = 4
"""Of a token, about; for the questions whether a request fits a provider at all, and what half an answer has cost."""


class Reading(Protocol):
    """An answer as it comes in, in one vendor's form."""

    @property
    def ended(self) -> bool:
        """Whether the vendor said that this was all."""
        ...

    @property
    def usage(self) -> Usage:
        """What the vendor said so far that it used."""
        ...

    @property
    def characters(self) -> int:
        """How much was read so far, of text and calls."""
        ...

    def said(self) -> Said:
        """What was said, once it has ended."""
        ...


R = TypeVar("R", bound=Reading)


class BaseProvider(ABC, Generic[E, R]):
    """A configured provider. ``key`` is the secret itself and never leaves this object but to the vendor.

    A vendor's adapter says how its SDK is loaded and opened, what is sent, and what each event of the stream means.
    """

    path: str
    """Below ``base_url``."""
    decoder: msgspec.json.Decoder[E]

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
        self._client: Any = None

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

    async def ask(self, request: ModelRequest, on_text: OnText | None, on_waste: OnWaste = ignored) -> Said:
        """See the port."""
        sdk = await asyncio.to_thread(self.load)
        client = self._open(sdk)
        names = tool_names(request)
        body = {**self.body(request, names), "stream": True}
        reading = self.reading(request, names)
        worked, begun = True, False
        try:
            async with asyncio.timeout(self.record.total_s):
                posting = client.post(self.path, body=body, cast_to=httpx2.Response, stream=True)
                async with aclosing(await self.in_time(posting)) as response:
                    begun = True
                    async for event in events(response, self.decoder, self.name, self.record.idle_s):
                        self.take(reading, event, on_text)
        except TimeoutError as error:
            raise errors.silent(self.name, self.record.total_s) from error
        except sdk.APIStatusError as error:
            worked = False
            raise errors.by_status(self.name, error, error.response.headers, self.key) from error
        except (sdk.APIConnectionError, httpx2.HTTPError) as error:
            worked = begun
            raise errors.unreachable(self.name, error) from error
        finally:
            if worked and not reading.ended:
                on_waste(used(request, reading.usage, reading.characters))
        if not reading.ended:
            raise errors.broken_off(self.name)
        said = reading.said()
        if said.usage.tokens:
            return said
        # a vendor that does not say what it used would otherwise be free
        return msgspec.structs.replace(said, usage=used(request, said.usage, reading.characters))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self, sdk: Any) -> Any:
        if self._client is None:
            self._client = self.client(
                sdk,
                api_key=self.key or "none",
                base_url=self.base_url,
                max_retries=0,
                timeout=self.record.total_s,
                http_client=open_client(self.base_url, total_s=self.record.total_s, transport=self.transport),
            )
        return self._client

    @abstractmethod
    def load(self) -> Any:
        """The SDK; slow to import, hence at first use and in a thread."""

    @abstractmethod
    def client(self, sdk: Any, **options: Any) -> Any:
        """The SDK's client."""

    @abstractmethod
    def body(self, request: ModelRequest, names: ToolNames) -> Json:
        """What is sent, streaming aside."""

    @abstractmethod
    def reading(self, request: ModelRequest, names: ToolNames) -> R:
        """An answer of which nothing has come yet."""

    @abstractmethod
    def take(self, reading: R, event: E, on_text: OnText | None) -> None:
        """Add one event of the stream to the answer; ``on_text`` hears each piece of text."""

    async def in_time(self, waiting: Awaitable[T]) -> T:
        """What is waited for, or ``Transient`` after ``idle_s`` of silence."""
        try:
            async with asyncio.timeout(self.record.idle_s) as patience:
                return await waiting
        except TimeoutError as error:
            if patience.expired():
                raise errors.silent(self._name, self.record.idle_s) from error
            raise


def used(request: ModelRequest, told: Usage, characters: int) -> Usage:
    """What an attempt without an end has used: what its stream told, and an estimate of what that does not say.

    ``characters`` is how much of an answer was read.
    """
    prompt = told.input + told.cache_read + told.cache_write
    return Usage(
        input=told.input if prompt else _length(request) // _CHARACTERS + 1,
        output=max(told.output, characters // _CHARACTERS),
        cache_read=told.cache_read,
        cache_write=told.cache_write,
    )


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
