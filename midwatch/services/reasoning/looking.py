"""The tools of one refinement: called side by side, each question once, every failure an answer."""

import asyncio
import json
import logging
from collections.abc import Sequence

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.dialogue import ModelReply, ToolCall, ToolSpec
from midwatch.domain.masking import Masker
from midwatch.domain.reasons import Reason
from midwatch.services.model_ports import ToolAnswer, Toolbox
from midwatch.services.reasoning.fencing import clean
from midwatch.services.reasoning.limits import Limits, Meter
from midwatch.services.reasoning.memory import SUMMARISE, Memory, Thought, call_id_of
from midwatch.services.reasoning.outputs import READ_OUTPUT, excerpt, kept
from midwatch.services.reasoning.summaries import Summaries

log = logging.getLogger(__name__)

READ_OUTPUT_SPEC = ToolSpec(
    name=READ_OUTPUT,
    description="Show lines of an answer that was given before, by its id (the word in [ ] in front of it).",
    parameters=json.dumps(
        {
            "type": "object",
            "properties": {
                "call_id": {"type": "string", "description": "id of the answer, for example m-2.1"},
                "from_line": {"type": "integer", "description": "first line, counted from 1"},
                "to_line": {"type": "integer", "description": "last line, included"},
            },
            "required": ["call_id", "from_line", "to_line"],
            "additionalProperties": False,
        }
    ),
)


class _Range(msgspec.Struct, frozen=True):
    call_id: str
    from_line: int = 1
    to_line: int = 100_000


class Looking:
    """Answers the calls of a round. What any line of thought asked before is not asked again."""

    def __init__(
        self, toolbox: Toolbox, summaries: Summaries, memory: Memory, meter: Meter, limits: Limits, masker: Masker
    ) -> None:
        self._toolbox, self._summaries, self._memory = toolbox, summaries, memory
        self._meter, self._limits, self._mask = meter, limits, masker
        self._offered: tuple[ToolSpec, ...] | None = None
        self._asked_now: dict[tuple[str, str], asyncio.Task[ToolAnswer]] = {}

    async def offer(self) -> tuple[ToolSpec, ...]:
        """The tools there are, and the one to read answers again. Without servers only that one.

        They are asked for once: what is offered in the middle of a line of thought would void the provider's cache.
        Only where there were none they are asked for again: servers that were away may be back.
        """
        if self._offered is None:
            found: tuple[ToolSpec, ...] = ()
            try:
                async with asyncio.timeout(self._limits.tool_s):
                    found = await self._toolbox.offer()
            except Exception:  # whatever is wrong with the servers, what was seen already can be thought about
                log.exception("no tools can be offered")
            offered = (*(tool for tool in found if tool.name != READ_OUTPUT), READ_OUTPUT_SPEC)
            if not found:
                return offered
            self._offered = offered
        return self._offered

    async def answer(self, thought: Thought) -> list[ev.AnyEvent]:
        """All results of a round, in the order of its calls, to be written as one; summaries before their result."""
        offered = {tool.name for tool in await self.offer()}
        taken, jobs = 0, []
        left = self._meter.tools_left()
        seen: dict[tuple[str, str], str] = {}
        for number, call in enumerate(thought.pending, 1):
            call_id = call_id_of(thought, number)
            key = (call.name, self._asked(call))
            same = seen.get(key) or self._memory.asked.get(key)
            if call.name not in offered:
                jobs.append(self._unknown(thought, call, call_id))
                continue
            if call.name == READ_OUTPUT or same or not _is_object(call.arguments):
                jobs.append(self._from_memory(thought, call, call_id, same or ""))
                continue
            if number > self._limits.calls_at_once or taken >= left:
                jobs.append(self._refused(thought, call, call_id, taken >= left))
                continue
            taken += 1
            seen[key] = call_id
            jobs.append(self._called(thought, call, call_id, key))
        self._meter.tools_under_way += taken
        try:
            found = await asyncio.gather(*jobs)
        finally:
            self._meter.tools_under_way -= taken
        return [event for events in found for event in events]

    async def _called(
        self, thought: Thought, call: ToolCall, call_id: str, key: tuple[str, str]
    ) -> Sequence[ev.AnyEvent]:
        answer = await self._shared(key, call)
        text = kept(self._mask(clean(answer.text)), self._limits.output_bytes)
        event = self._event(thought, call, call_id, text, ok=answer.ok, took_ms=answer.took_ms)
        if not answer.ok or len(text) < self._limits.summarise_from:
            return (event,)
        summary = await self._summaries.of(call_id, call.name, text, self._memory.nonce)
        return (_summed(thought, call_id, summary), event) if summary is not None else (event,)

    async def _shared(self, key: tuple[str, str], call: ToolCall) -> ToolAnswer:
        """One call for all lines that ask the same; it goes on while any of them waits. What failed is asked again."""
        task = self._asked_now.get(key)
        if task is None:
            task = self._asked_now[key] = asyncio.create_task(self._asked_of_toolbox(call))
        answer = await asyncio.shield(task)
        if not answer.ok:
            self._asked_now.pop(key, None)
        return answer

    async def _asked_of_toolbox(self, call: ToolCall) -> ToolAnswer:
        try:
            async with asyncio.timeout(self._limits.tool_s):
                return await self._toolbox.call(call.name, call.arguments)
        except TimeoutError:
            return ToolAnswer(text=f"no answer within {self._limits.tool_s:g} s", ok=False)
        except Exception as error:  # a tool's bug is an answer like another: the investigation goes on without it
            log.exception("a tool failed", extra={"tool": call.name})
            return ToolAnswer(text=f"the tool failed: {type(error).__name__}", ok=False)

    async def stop(self) -> None:
        """Cancel what nobody waits for any more."""
        tasks = tuple(self._asked_now.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _from_memory(self, thought: Thought, call: ToolCall, call_id: str, same: str) -> Sequence[ev.AnyEvent]:
        if not _is_object(call.arguments):
            return (self._invalid(thought, call, call_id, "the arguments are no JSON object"),)
        if call.name != READ_OUTPUT:
            return (self._event(thought, call, call_id, "", of=same, reason=Reason.ASKED_BEFORE),)
        try:
            asked = msgspec.json.decode(call.arguments, type=_Range, strict=False)
        except msgspec.MsgspecError as error:
            return (self._invalid(thought, call, call_id, f"wrong arguments: {error}"),)
        output = self._memory.origin(asked.call_id.strip("[] "))
        if output is None:
            known = ", ".join(list(self._memory.outputs)[-20:])
            return (self._invalid(thought, call, call_id, f"no such id; there are {known}"),)
        text = excerpt(output, asked.from_line, asked.to_line, self._limits.shown_bytes)
        return (self._event(thought, call, call_id, text, of=output.call_id, reason=Reason.ASKED_BEFORE),)

    async def _unknown(self, thought: Thought, call: ToolCall, call_id: str) -> Sequence[ev.AnyEvent]:
        return (self._invalid(thought, call, call_id, "not called: no such tool was offered"),)

    async def _refused(self, thought: Thought, call: ToolCall, call_id: str, spent: bool) -> Sequence[ev.AnyEvent]:
        why = "no tool calls are left" if spent else f"at most {self._limits.calls_at_once} tools in one round"
        return (self._event(thought, call, call_id, f"not called: {why}", ok=False, reason=Reason.LIMIT_REACHED),)

    def _invalid(self, thought: Thought, call: ToolCall, call_id: str, why: str) -> ev.ToolCalled:
        return self._event(thought, call, call_id, why, ok=False, reason=Reason.CALL_INVALID)

    def _event(
        self,
        thought: Thought,
        call: ToolCall,
        call_id: str,
        text: str,
        *,
        ok: bool = True,
        of: str = "",
        took_ms: float = 0.0,
        reason: Reason | None = None,
    ) -> ev.ToolCalled:
        gathered = Reason.EVIDENCE_GATHERED if ok else Reason.EVIDENCE_UNAVAILABLE
        return ev.ToolCalled(
            reason=reason or gathered,
            call_id=call_id,
            tool=call.name,
            input=self._asked(call),
            output=text,
            ok=ok,
            took_ms=round(took_ms, 1),
            iteration=thought.iteration,
            hypothesis=thought.line,
            of=of,
        )

    def _asked(self, call: ToolCall) -> str:
        """The arguments in one order and without secrets: what the journal shows, and what makes two calls equal."""
        try:
            text = json.dumps(json.loads(call.arguments or "{}"), sort_keys=True, ensure_ascii=False)
        except (ValueError, RecursionError):
            text = call.arguments
        return self._mask(clean(text))[:4_000]


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments or "{}"), dict)
    except (ValueError, RecursionError):
        return False


def _summed(thought: Thought, call_id: str, reply: ModelReply) -> ev.ModelTurned:
    return ev.ModelTurned(
        reason=Reason.ASKED_FOR_MORE,
        iteration=thought.iteration,
        reply=reply,
        hypothesis=thought.line,
        purpose=SUMMARISE,
        call_id=call_id,
    )


def tools_told(thought: Thought) -> tuple[str, ...]:
    """The calls of a line's last turn as people read them: ``name(arguments)``."""
    calls = thought.last.turn.calls if thought.last is not None else ()
    return tuple(f"{call.name}({call.arguments[:200]})" for call in calls)
