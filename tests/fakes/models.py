"""A model that says what a test has written down for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from midwatch.domain.dialogue import (
    AssistantTurn,
    ModelReply,
    ModelRequest,
    StopReason,
    ToolCall,
    ToolTurn,
    Usage,
)
from midwatch.domain.errors import Transient
from midwatch.services.model_ports import OnText


@dataclass(frozen=True)
class Say:
    """One answer. ``calls`` are (tool, arguments as JSON text) pairs; ids are given by the model."""

    text: str = ""
    calls: Sequence[tuple[str, str]] = ()
    stop: StopReason | None = None
    usage: Usage = field(default_factory=lambda: Usage(input=100, output=20))
    cost_usd: float = 0.001


@dataclass(frozen=True)
class Fail:
    """The call fails with this error, as the real chain does when every provider failed."""

    error: Exception = field(default_factory=lambda: Transient("every provider is away", 1.0))


@dataclass
class Block:
    """The call waits until ``release`` is set, then goes on with ``then``. Without a release it hangs until cancelled.

    ``reached`` is set when the model was asked, ``cancelled`` tells whether the caller gave up.
    """

    then: Say = field(default_factory=Say)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False


Step: TypeAlias = str | Say | Fail | Block
Script: TypeAlias = Callable[[ModelRequest], Step | Awaitable[Step]]


class ScriptedModel:
    """See :class:`midwatch.services.model_ports.Model`.

    Give it steps, said in this order (past the last one the call fails as a defect of the test), or one function of
    the request. Every request is kept in ``requests``, those of one purpose are found with ``asked``. Tool calls get
    ids of their own, and a history that leaves a call unanswered, or answers one twice, is refused as a real one is.
    """

    def __init__(self, *steps: Step, script: Script | None = None, provider: str = "scripted") -> None:
        if steps and script:
            raise ValueError("either steps or a function")
        self._steps = list(steps)
        self._script = script
        self._provider = provider
        self._ids = 0
        self.requests: list[ModelRequest] = []
        self.replies: list[ModelReply] = []
        self.on = True

    async def available(self) -> bool:
        return self.on

    async def ask(self, request: ModelRequest, on_text: OnText | None = None) -> ModelReply:
        self.requests.append(request)
        refuse_unanswered(request)
        await asyncio.sleep(0)
        step = await self._next(request)
        if isinstance(step, Block):
            step = await self._wait(step)
        if isinstance(step, Fail):
            raise step.error
        reply = self._reply(Say(step) if isinstance(step, str) else step, request)
        if on_text is not None and reply.turn.text:
            on_text(reply.turn.text)
        self.replies.append(reply)
        return reply

    def asked(self, purpose: str) -> list[ModelRequest]:
        """The requests made for one purpose."""
        return [request for request in self.requests if request.purpose == purpose]

    @property
    def left(self) -> int:
        """How many steps were not said yet."""
        return len(self._steps)

    async def _next(self, request: ModelRequest) -> Step:
        if self._script is not None:
            made = self._script(request)
            return await made if isinstance(made, Awaitable) else made
        if not self._steps:
            raise AssertionError(f"the script is at its end, yet the model was asked again: {request.turns[-1]}")
        return self._steps.pop(0)

    async def _wait(self, block: Block) -> Say:
        block.reached.set()
        try:
            await block.release.wait()
        except asyncio.CancelledError:
            block.cancelled = True
            raise
        return block.then

    def _reply(self, say: Say, request: ModelRequest) -> ModelReply:
        calls = tuple(ToolCall(id=self._id(), name=name, arguments=arguments) for name, arguments in say.calls)
        stop = say.stop or (StopReason.TOOLS if calls else StopReason.DONE)
        return ModelReply(
            turn=AssistantTurn(say.text, calls=calls, provider=self._provider),
            stop=stop,
            usage=say.usage,
            provider=self._provider,
            model=request.model or f"scripted-{request.tier}",
            cost_usd=say.cost_usd,
        )

    def _id(self) -> str:
        self._ids += 1
        return f"call-{self._ids}"


def refuse_unanswered(request: ModelRequest) -> None:
    """Every tool call has one result, in the turn right after it, and no result is without its call."""
    waiting: list[str] = []
    for turn in request.turns:
        answered = [result.call_id for result in turn.results] if isinstance(turn, ToolTurn) else []
        assert sorted(answered) == sorted(waiting), f"calls {waiting} were answered by results {answered}"
        waiting = [call.id for call in turn.calls] if isinstance(turn, AssistantTurn) else []
    assert not waiting, f"calls {waiting} have no result"


def call(tool: str, **arguments: object) -> tuple[str, str]:
    """A tool call for :class:`Say`."""
    return tool, msgspec.json.encode(arguments).decode()
