"""One line of thought: rounds of asking a model and looking for it, until it knows enough or a limit is reached."""

import logging

from midwatch.domain import events as ev
from midwatch.domain.dialogue import (
    AssistantTurn,
    ModelReply,
    ModelRequest,
    ModelTier,
    StopReason,
    ToolCall,
    ToolTurn,
    Turn,
    UserTurn,
)
from midwatch.domain.errors import Invalid, Permanent
from midwatch.domain.reasons import Reason
from midwatch.services.model_ports import AwayAtACost, Model
from midwatch.services.reasoning.answers import ANSWER_SCHEMA, Answer, parse_answer
from midwatch.services.reasoning.compaction import compact
from midwatch.services.reasoning.ledger import Ledger
from midwatch.services.reasoning.limits import Limits, Meter
from midwatch.services.reasoning.looking import Looking, tools_told
from midwatch.services.reasoning.memory import CONCLUDE, INVESTIGATE, Memory, Thought
from midwatch.services.reasoning.prompt import CONCLUDE as CONCLUDE_NOW
from midwatch.services.reasoning.prompt import SYSTEM

log = logging.getLogger(__name__)

_ANSWER_TOKENS = 4_096
_PARTIAL = 2_000

WHY = {
    Reason.LOOP_DETECTED: "You asked for the same again and again.",
    Reason.ROUNDS_SPENT: "All rounds are used.",
    Reason.DATA_SPENT: "You have read as much as is allowed.",
    Reason.KNOWS_ENOUGH: "You asked for no more tools.",
}


class Thinking:
    """Drives lines of thought. All state is in the memory, hence in the journal: a line goes on wherever it stopped."""

    def __init__(
        self,
        model: Model,
        looking: Looking,
        ledger: Ledger,
        memory: Memory,
        meter: Meter,
        limits: Limits,
    ) -> None:
        self._model, self._looking, self._ledger, self._memory = model, looking, ledger, memory
        self._meter, self._limits = meter, limits

    async def begin(self, line: str, text: str, nonce: str) -> None:
        """Write down what a line is told, unless that is done already."""
        if line not in self._memory.thoughts:
            briefed = ev.Briefed(reason=Reason.BUILT_IN_ANALYSIS, text=text, nonce=nonce, hypothesis=line)
            await self._ledger.write(briefed)

    async def pursue(self, line: str, rounds: int, tier: ModelTier) -> Reason:
        """Think in rounds; returns why it ended. ``Transient``, ``Permanent`` and ``Refused`` of the model pass."""
        thought = self._memory.thought(line)
        while True:
            if thought.pending:
                await self._ledger.write(*await self._looking.answer(thought))
                self._meter.worked()
            elif thought.said is not None or thought.concluded is not None:
                return Reason.KNOWS_ENOUGH
            elif (limit := self._meter.refuses(thought, rounds)) is not None:
                return limit
            else:
                await self._turn(thought, tier)

    async def conclude(self, line: str, why: Reason, tier: ModelTier) -> tuple[Answer, ModelReply]:
        """A line's answer: the one it gave by itself, or one that is asked for now, without tools.

        Raises ``Invalid`` where it cannot be read, and ``Permanent`` where no call is left to ask for one.
        """
        thought = self._memory.thought(line)
        if thought.concluded is None and thought.said is not None and thought.last is not None:
            try:
                return parse_answer(thought.said.text), thought.last
            except Invalid:
                log.debug("the last word was no answer: asked for one", extra={"line": line})
        if thought.concluded is None:
            await self._concluded(thought, why, tier)
        assert thought.concluded is not None
        return parse_answer(thought.concluded.turn.text), thought.concluded

    async def _turn(self, thought: Thought, tier: ModelTier) -> None:
        request = ModelRequest(
            system=SYSTEM,
            turns=compact(thought.turns, self._limits.history_bytes),
            tools=await self._looking.offer(),
            tier=self._meter.tier(tier),
            max_tokens=_ANSWER_TOKENS,
            purpose=INVESTIGATE,
            incident=self._ledger.incident.id,
        )
        reply = plain_calls(await self._asked(request, thought.line))
        if reply.stop is StopReason.REFUSAL:
            raise Permanent(f"{reply.provider}/{reply.model} refused to answer")
        more = bool(reply.turn.calls)
        reason = Reason.ASKED_FOR_MORE if more else Reason.KNOWS_ENOUGH
        number = thought.iteration + 1
        turned = ev.ModelTurned(reason=reason, iteration=number, reply=reply, hypothesis=thought.line)
        ending = self._ended(thought, reply.turn.text, reason)
        if not more and not ending:  # it answered without a single look
            ending = (
                ev.IterationEnded(
                    reason=reason,
                    iteration=number,
                    reasoning=reply.turn.text[:_PARTIAL],
                    decision="stop",
                    took_ms=round(reply.took_ms, 1),
                    hypothesis=thought.line,
                ),
            )
        await self._ledger.write(*ending, turned)

    async def _concluded(self, thought: Thought, why: Reason, tier: ModelTier) -> None:
        if (closed := self._meter.closed()) is not None:
            raise Permanent(f"nothing is left to ask for a conclusion ({closed})")
        now = UserTurn(CONCLUDE_NOW.format(why=WHY.get(why, "A limit is reached.")))
        request = ModelRequest(
            system=SYSTEM,
            turns=(*without_tools(compact(thought.turns, self._limits.history_bytes)), now),
            tier=self._meter.tier(tier),
            max_tokens=_ANSWER_TOKENS,
            schema=ANSWER_SCHEMA,
            purpose=CONCLUDE,
            incident=self._ledger.incident.id,
        )
        reply = await self._asked(request, thought.line)
        ending = self._ended(thought, "", why)
        turned = ev.ModelTurned(
            reason=why, iteration=thought.iteration + 1, reply=reply, hypothesis=thought.line, purpose=CONCLUDE
        )
        await self._ledger.write(*ending, turned)

    async def _asked(self, request: ModelRequest, line: str) -> ModelReply:
        self._meter.under_way += 1
        try:
            return await self._model.ask(request)
        except AwayAtACost as error:
            await self._ledger.loss(error, line)
            raise
        finally:
            self._meter.under_way -= 1

    def _ended(self, thought: Thought, partial: str, reason: Reason) -> tuple[ev.AnyEvent, ...]:
        """The record of the round before, now that it is known what its answers showed."""
        if not thought.open or thought.last is None:
            return ()
        return (
            ev.IterationEnded(
                reason=reason,
                iteration=thought.iteration,
                reasoning=thought.last.turn.text[:_PARTIAL],
                tools=tools_told(thought),
                partial=partial[:_PARTIAL],
                decision="continue" if reason is Reason.ASKED_FOR_MORE else "stop",
                took_ms=round(thought.took_ms, 1),
                hypothesis=thought.line,
            ),
        )


def without_tools(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The same history as mere text: some vendors refuse calls and results where no tools are offered any more."""
    found: list[Turn] = []
    for turn in turns:
        match turn:
            case AssistantTurn():
                asked = [f"(asked for {call.name} {call.arguments})" for call in turn.calls]
                found.append(AssistantTurn("\n".join(filter(None, (turn.text, *asked))) or "(nothing)"))
            case ToolTurn():
                found.append(UserTurn("\n\n".join(result.text for result in turn.results)))
            case UserTurn():
                found.append(turn)
    return tuple(found)


def plain_calls(reply: ModelReply) -> ModelReply:
    """The reply with calls that can be answered one by one: each with an id of its own.

    A vendor's own form of a turn that had to be changed is dropped, because it would name the old ids.
    """
    ids: set[str] = set()
    calls: list[ToolCall] = []
    for number, call in enumerate(reply.turn.calls, 1):
        wanted = call.id if call.id and call.id not in ids else f"{call.id or 'call'}-{number}"
        while wanted in ids:
            wanted += "x"
        ids.add(wanted)
        calls.append(call if wanted == call.id else ToolCall(id=wanted, name=call.name, arguments=call.arguments))
    if tuple(calls) == reply.turn.calls:
        return reply
    turn = AssistantTurn(text=reply.turn.text, calls=tuple(calls), provider=reply.turn.provider)
    return ModelReply(
        turn=turn,
        stop=reply.stop,
        usage=reply.usage,
        provider=reply.provider,
        model=reply.model,
        cost_usd=reply.cost_usd,
        took_ms=reply.took_ms,
    )
