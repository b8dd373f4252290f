"""Competing explanations, pursued side by side; one that seems to hold must survive a look at something new."""

import asyncio
import logging
from typing import Protocol

from midwatch.domain import events as ev
from midwatch.domain.dialogue import ModelReply, ModelRequest, ModelTier, UserTurn
from midwatch.domain.errors import ClaimLost, Invalid, MidwatchError, Permanent
from midwatch.domain.reasons import Reason
from midwatch.services.model_ports import AwayAtACost, Model
from midwatch.services.reasoning.answers import HYPOTHESES_SCHEMA, Answer, parse_hypotheses
from midwatch.services.reasoning.fencing import Fence
from midwatch.services.reasoning.ledger import Ledger
from midwatch.services.reasoning.limits import Limits, Meter
from midwatch.services.reasoning.memory import HYPOTHESES, Memory
from midwatch.services.reasoning.prompt import PROPOSE, PURSUE, REFUTE, SYSTEM
from midwatch.services.reasoning.thinking import Thinking

log = logging.getLogger(__name__)

Found = tuple[Answer, ModelReply]
_REFUTER_ROUNDS = 2
_ASKED_TOLD = 3_000


class Supported(Protocol):
    """Whether an answer holds: its cause is known, and evidence that was checked carries it."""

    def __call__(self, answer: Answer, reply: ModelReply) -> bool: ...


class Race:
    """Up to three lines of thought at once. The first that is confirmed wins; the others are cancelled."""

    def __init__(
        self, model: Model, thinking: Thinking, ledger: Ledger, memory: Memory, meter: Meter, limits: Limits
    ) -> None:
        self._model, self._thinking, self._ledger, self._memory = model, thinking, ledger, memory
        self._meter, self._limits = meter, limits

    async def run(self, brief: str, fence: Fence, supported: Supported) -> tuple[Found | None, str]:
        """The confirmed answer, or ``None`` with what came of each explanation, for a conclusion over all of them."""
        hypotheses = await self._hypotheses(brief)
        self._winner: Found | None = None
        found: dict[str, str] = {}
        tasks: dict[str, asyncio.Task[None]] = {}

        async def one(line: str, hypothesis: str) -> None:
            try:
                await self._one(line, hypothesis, brief, fence, supported, found)
            except (Invalid, Permanent) as error:
                found[line] = f"{hypothesis}\n  could not be concluded: {error}"
            if self._winner is not None:
                for other, task in tasks.items():
                    if other != line:
                        task.cancel()

        try:
            async with asyncio.TaskGroup() as group:
                for number, hypothesis in enumerate(hypotheses, 1):
                    line = f"h{number}"
                    if line in self._memory.thoughts and self._memory.thought(line).given_up:
                        continue
                    tasks[line] = group.create_task(one(line, hypothesis), name=f"hypothesis:{line}")
        except ExceptionGroup as errors:
            raise _first(errors) from errors
        losers = [line for line, task in tasks.items() if task.cancelled()]
        if losers:
            await self._ledger.write(*(self._lost(line) for line in losers))
        return self._winner, "\n".join(found.values())

    async def _hypotheses(self, brief: str) -> tuple[str, ...]:
        if self._memory.hypotheses is None:
            request = ModelRequest(
                system=SYSTEM,
                turns=(UserTurn(f"{brief}\n\n{PROPOSE.format(count=self._limits.hypotheses)}"),),
                tier=self._meter.tier(ModelTier.LARGE),
                max_tokens=1_500,
                schema=HYPOTHESES_SCHEMA,
                purpose=HYPOTHESES,
                incident=self._ledger.incident.id,
            )
            try:
                reply = await self._model.ask(request)
            except AwayAtACost as error:
                await self._ledger.loss(error)
                raise
            await self._ledger.write(
                ev.ModelTurned(reason=Reason.ASKED_FOR_MORE, iteration=0, reply=reply, purpose=HYPOTHESES)
            )
        assert self._memory.hypotheses is not None
        try:
            return parse_hypotheses(self._memory.hypotheses.turn.text, self._limits.hypotheses)
        except Invalid as error:
            log.info("no hypotheses", extra={"incident": self._ledger.incident.id, "error": str(error)})
            return ()

    async def _one(
        self, line: str, hypothesis: str, brief: str, fence: Fence, supported: Supported, found: dict[str, str]
    ) -> None:
        told = PURSUE.format(hypothesis=fence("hypothesis", hypothesis))
        await self._thinking.begin(line, f"{brief}\n\n{told}", fence.nonce)
        answer, reply = await self._answered(line, self._limits.race_rounds)
        held = supported(answer, reply)
        found[line] = _said(hypothesis, answer, held)
        if not held or self._winner is not None:
            return
        confirmed = await self._refuted(line, answer, brief, fence, supported)
        if confirmed is None:
            found[line] += "\n  It was not confirmed by anything new."
        elif self._winner is None:
            self._winner = confirmed

    async def _refuted(self, line: str, answer: Answer, brief: str, fence: Fence, supported: Supported) -> Found | None:
        """The answer after the attempt to refute it: kept only if that looked at something new and it still stands."""
        refuter = f"{line}r"
        claim = fence("claim", f"{answer.root_cause}\n{answer.summary}")
        asked = "\n".join(f"{tool} {arguments}" for tool, arguments in self._memory.asked)[-_ASKED_TOLD:]
        told = REFUTE.format(claim=claim, asked=fence("calls", asked))
        await self._thinking.begin(refuter, f"{brief}\n\n{told}", fence.nonce)
        again, reply = await self._answered(refuter, _REFUTER_ROUNDS)
        if not self._memory.thought(refuter).looked or not again.known:
            return None
        both = Answer(
            **{name: getattr(again, name) for name in Answer.__struct_fields__ if name != "evidence"},
            evidence=(*answer.evidence, *again.evidence),
        )
        return (both, reply) if supported(both, reply) else None

    async def _answered(self, line: str, rounds: int) -> Found:
        why = await self._thinking.pursue(line, rounds, ModelTier.LARGE)
        return await self._thinking.conclude(line, why, ModelTier.LARGE)

    def _lost(self, line: str) -> ev.IterationEnded:
        thought = self._memory.thoughts.get(line)
        iteration = thought.iteration if thought is not None else 0
        return ev.IterationEnded(reason=Reason.RACE_LOST, iteration=max(1, iteration), decision="stop", hypothesis=line)


def _said(hypothesis: str, answer: Answer, held: bool) -> str:
    came = f"seems to hold: {answer.root_cause}" if held else f"does not hold or is not shown: {answer.summary}"
    against = "; ".join(answer.ruled_out)
    seen = ", ".join(f"[{cited.call_id}] {cited.quote[:200]}" for cited in answer.evidence)
    return f"{hypothesis}\n  {came}\n  against it: {against or '-'}\n  evidence: {seen or '-'}"


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that stands for all: a lost claim before anything else, our own before a bug."""
    flat = [_first(error) if isinstance(error, BaseExceptionGroup) else error for error in errors.exceptions]
    ranked = sorted(flat, key=lambda error: (not isinstance(error, ClaimLost), not isinstance(error, MidwatchError)))
    return ranked[0]
