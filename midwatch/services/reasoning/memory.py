"""What a refinement knows: the fold of its journal. Living code changes it only by entries that are written already."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.budgets import Spent, cost
from midwatch.domain.dialogue import AssistantTurn, ModelReply, ToolCall, ToolResult, ToolTurn, Turn, UserTurn
from midwatch.domain.masking import highest_mask
from midwatch.domain.reasons import Reason
from midwatch.services.reasoning.fencing import Fence
from midwatch.services.reasoning.outputs import READ_OUTPUT, Output, shown

INVESTIGATE, CONCLUDE, SUMMARISE, HYPOTHESES = "investigate", "conclude", "summarise", "hypotheses"


class Thought(msgspec.Struct, kw_only=True):
    """One line of thought so far. ``pending`` holds calls that have no results yet.

    ``open`` is a round whose results no model has spoken on yet; ``repeats`` counts rounds in a row that asked nothing
    new; ``looked`` counts calls that no line had made before.
    """

    line: str
    turns: list[Turn]
    pending: tuple[ToolCall, ...] = ()
    iteration: int = 0
    open: bool = False
    repeats: int = 0
    looked: int = 0
    took_ms: float = 0.0
    questions: set[tuple[str, str]] = msgspec.field(default_factory=set)
    last: ModelReply | None = None
    concluded: ModelReply | None = None
    given_up: bool = False

    @property
    def said(self) -> AssistantTurn | None:
        """The model's last word, when it stands there unanswered."""
        return self.turns[-1] if isinstance(self.turns[-1], AssistantTurn) else None


class Memory:
    """All lines of thought of one refinement, every answer of a tool, and what was spent.

    ``shown_bytes`` is how much of one answer a model is shown.
    """

    def __init__(self, shown_bytes: int = 8_000) -> None:
        self._shown = shown_bytes
        self._forget()

    def _forget(self) -> None:
        self.thoughts: dict[str, Thought] = {}
        self.outputs: dict[str, Output] = {}
        self.asked: dict[tuple[str, str], str] = {}
        self.hypotheses: ModelReply | None = None
        self.nonce, self.masks, self.starts, self.data_bytes = "", 0, 0, 0
        self.spent = Spent()
        self._summaries: dict[str, str] = {}

    @classmethod
    def of(cls, entries: Iterable[ev.Entry], shown_bytes: int = 8_000) -> "Memory":
        """What a whole journal tells of the refinement that goes on, or is about to begin."""
        memory = cls(shown_bytes)
        for entry in entries:
            memory.learn(entry.event, entry.at)
        return memory

    def thought(self, line: str) -> Thought:
        """A line of thought that was briefed."""
        return self.thoughts[line]

    def learn(self, event: ev.AnyEvent, at: datetime) -> None:
        """Fold one event in."""
        match event:
            case ev.InvestigationStarted() | ev.Reopened():
                self._forget()  # a new first report is on its way: what was thought about the last one is over
            case ev.RefinementStarted():
                self.starts += 1
                self.spent = self.spent + Spent(since=at)
            case ev.Briefed():
                self.nonce = self.nonce or event.nonce
                self.thoughts[event.hypothesis] = Thought(line=event.hypothesis, turns=[UserTurn(event.text)])
                self._see(event.text)
            case ev.ModelTurned():
                self.spent = self.spent + cost(event.reply)
                self._turned(event)
            case ev.ModelBroke():
                self.spent = self.spent + Spent(tokens=event.tokens, usd=event.usd)
            case ev.ToolCalled():
                self._called(event)
            case ev.IterationEnded():
                self._ended(event)
            case _:
                pass

    def origin(self, call_id: str) -> Output | None:
        """The answer that a call's result stands in: its own, or that of the call which it repeats or reads from."""
        output = self.outputs.get(call_id)
        for _ in range(10):
            if output is None or not output.of:
                return output
            output = self.outputs.get(output.of)
        return None

    def _turned(self, event: ev.ModelTurned) -> None:
        if event.purpose == SUMMARISE:
            self._summaries[event.call_id] = event.reply.turn.text
            return
        if event.purpose == HYPOTHESES:
            self.hypotheses = event.reply
            return
        thought = self.thoughts[event.hypothesis]
        if event.purpose == CONCLUDE:
            thought.concluded = event.reply
            return
        thought.turns.append(event.reply.turn)
        thought.pending, thought.last = event.reply.turn.calls, event.reply
        thought.iteration, thought.took_ms = event.iteration, event.reply.took_ms
        thought.open = True

    def _called(self, event: ev.ToolCalled) -> None:
        output = Output(
            call_id=event.call_id,
            tool=event.tool,
            input=event.input,
            text=event.output,
            ok=event.ok,
            of=event.of,
            summary=self._summaries.get(event.call_id, ""),
        )
        self.outputs[event.call_id] = output
        self._see(event.output)
        thought = self.thoughts.get(event.hypothesis) if event.iteration else None
        if thought is None:
            return
        new = not event.of and event.reason not in (Reason.LIMIT_REACHED, Reason.CALL_INVALID)
        if new:
            self.data_bytes += len(event.output)
            self.spent = self.spent + Spent(tool_calls=1)
            if event.ok:  # what failed may be asked again
                self.asked.setdefault((event.tool, event.input), event.call_id)
            thought.looked += 1
        thought.took_ms += event.took_ms
        self._answered(thought)

    def _answered(self, thought: Thought) -> None:
        """All results of a round are written as one; the last completes the turn."""
        mine = [self.outputs.get(call_id_of(thought, number)) for number in range(1, len(thought.pending) + 1)]
        if any(output is None for output in mine):
            return
        fence = Fence(self.nonce)
        results: list[ToolResult] = []
        for call, output in zip(thought.pending, mine, strict=True):
            assert output is not None
            results.append(ToolResult(call_id=call.id, text=self._text(output, fence), ok=output.ok))
        thought.turns.append(ToolTurn(tuple(results)))
        questions = {(output.tool, output.input) for output in mine if output is not None}
        thought.repeats = 0 if questions - thought.questions else thought.repeats + 1
        thought.questions |= questions
        thought.pending = ()

    def _text(self, output: Output, fence: Fence) -> str:
        if output.of and output.tool != READ_OUTPUT:
            first = self.origin(output.call_id)
            known = shown(first, fence, self._shown // 4) if first is not None else "it is gone"
            return f"[{output.call_id}] was asked before; the answer is the same:\n{known}"
        return shown(output, fence, self._shown)

    def _ended(self, event: ev.IterationEnded) -> None:
        if (thought := self.thoughts.get(event.hypothesis)) is not None:
            thought.open = False
            thought.given_up = thought.given_up or event.reason is Reason.RACE_LOST

    def _see(self, text: str) -> None:
        self.masks = max(self.masks, highest_mask(text))


def call_id_of(thought: Thought, number: int) -> str:
    """The id under which a round's call is cited, counted from 1: unique in the incident, whatever a model calls it."""
    return f"{thought.line or 'm'}-{thought.iteration}.{number}"
