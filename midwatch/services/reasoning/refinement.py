"""Refinement: a claimed incident's first report in, a better one out, or the reason why it stands."""

import asyncio
import logging

import msgspec

from midwatch.domain import events as ev
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.dialogue import ModelReply, ModelTier
from midwatch.domain.errors import Conflict, Invalid, MidwatchError, Permanent, Refused, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.masking import Masker
from midwatch.domain.reasons import Reason
from midwatch.domain.servers import ServerRecord
from midwatch.services.model_ports import Model, Runbook, Runbooks, Toolboxes
from midwatch.services.ports import Claim, Journal
from midwatch.services.reasoning import prompt
from midwatch.services.reasoning.answers import Answer
from midwatch.services.reasoning.conclusion import Playbooks, Verdict, judge
from midwatch.services.reasoning.fencing import Fence
from midwatch.services.reasoning.ledger import Ledger
from midwatch.services.reasoning.limits import DaySpent, DayWork, Limits, Meter, nothing_today, uncounted
from midwatch.services.reasoning.looking import Looking
from midwatch.services.reasoning.memory import Memory
from midwatch.services.reasoning.race import Found, Race
from midwatch.services.reasoning.summaries import Summaries
from midwatch.services.reasoning.thinking import Thinking
from midwatch.services.runtime import Clock, Ids

log = logging.getLogger(__name__)

_PAGE = 1_000
_AWAY_S = 5.0
_RUNBOOKS_S = 10.0
_MAIN, _DEEPER = "", "d"


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a refinement works with. ``quiet`` is a journal that rings nobody, for steps that nobody waits for."""

    model: Model | None
    tools: Toolboxes
    playbooks: Playbooks
    runbooks: Runbooks | None = None
    journal: Journal
    quiet: Journal
    day: DaySpent = nothing_today
    day_work: DayWork = uncounted


class Refinement:
    """Improves reports. It never raises because of a model, a tool or what they said: then the first report stands."""

    def __init__(self, means: Means, limits: Limits, clock: Clock, ids: Ids, *, by: str) -> None:
        self._means, self._limits, self._clock, self._ids, self._by = means, limits, clock, ids, by

    async def run(self, claim: Claim) -> None:
        """Work on ``claim`` until a better report stands, or the reason why not. ``ClaimLost``, ``Transient`` pass."""
        incident = await self._means.journal.read(claim.incident)
        report = incident.report
        if report is None or not incident.refine:
            return
        memory = Memory.of(await self._entries(claim.incident), self._limits.shown_bytes)
        ledger = Ledger(self._means.quiet, incident, memory, claim, self._clock, by=self._by)
        if (model := self._means.model) is None:
            await self._end(ledger, Reason.MODEL_MISSING, "no model is configured")
            return
        if claim.attempt > self._limits.attempts:
            await self._end(ledger, Reason.ATTEMPTS_EXHAUSTED, f"given up after {self._limits.attempts} attempts")
            return
        started = ev.RefinementStarted(reason=Reason.CLAIMED, worker=self._by, attempt=memory.starts + 1)
        await ledger.write(started)
        work = _Work(self._means, model, self._limits, self._clock, self._ids, memory, ledger, report)
        try:
            await work.run()
        except Conflict:
            raise
        except Transient as error:
            if claim.attempt >= self._limits.attempts or self._too_late(memory):
                await self._end(ledger, Reason.MODEL_AWAY, str(error))
            else:
                raise
        except Invalid as error:
            await self._end(ledger, Reason.ANSWER_INVALID, str(error))
        except (Permanent, Refused) as error:
            await self._end(ledger, Reason.MODEL_REFUSED, str(error))
        except MidwatchError as error:
            await self._end(ledger, Reason.REFINEMENT_FAILED, str(error))
        except Exception as error:  # people have the first report; a bug here must not cost them even that
            log.exception("refinement failed", extra={"incident": incident.id})
            await self._end(ledger, Reason.REFINEMENT_FAILED, type(error).__name__)
        finally:
            await work.stop()

    async def model_there(self) -> bool:
        """Whether a model could improve a report now; never raises."""
        try:
            return self._means.model is not None and await self._means.model.available()
        except Exception:  # a first report must not wait for, nor fail by, whatever a provider does
            log.exception("the model cannot be asked whether it is there")
            return False

    def servers(self) -> tuple[ServerRecord, ...]:
        """The tool servers that were started, as they stand."""
        return self._means.tools.records()

    def _too_late(self, memory: Memory) -> bool:
        wall_s = self._limits.incident.wall_s
        return bool(wall_s) and memory.spent.seconds(self._clock.now()) >= wall_s

    async def _end(self, ledger: Ledger, reason: Reason, detail: str) -> None:
        await ledger.write(ev.RefinementEnded(reason=reason, detail=detail[:1_000]), journal=self._means.journal)

    async def _entries(self, incident_id: IncidentId) -> list[ev.Entry]:
        found: list[ev.Entry] = []
        while page := await self._means.journal.entries(incident_id, after=len(found), limit=_PAGE):
            found += page
        return found


class _Work:
    """One refinement in this process, from wherever the journal says it stands."""

    def __init__(
        self,
        means: Means,
        model: Model,
        limits: Limits,
        clock: Clock,
        ids: Ids,
        memory: Memory,
        ledger: Ledger,
        report: Diagnosis,
    ) -> None:
        self._means, self._model, self._limits = means, model, limits
        self._memory, self._ledger, self._report = memory, ledger, report
        incident = ledger.incident
        self._mask = Masker(memory.masks + 1)
        self._fence = Fence(memory.nonce or ids.new().replace("-", "")[-16:])
        self._meter = Meter(limits, memory, means.day, clock, means.day_work)
        summaries = Summaries(model, self._meter, incident.id, self._mask(prompt.about(incident)))
        self._looking = Looking(means.tools.of(incident.cluster), summaries, memory, self._meter, limits, self._mask)
        self._thinking = Thinking(model, self._looking, ledger, memory, self._meter, limits)
        self._text = ""

    async def run(self) -> None:
        """Think, judge what came of it, and write it down."""
        if not await self._model.available():
            raise Transient("no model can be reached at the moment", _AWAY_S)
        await self._meter.read_day()
        verdict = await self._verdict()
        spent = self._memory.spent
        rounds = sum(thought.iteration for thought in self._memory.thoughts.values())
        told = f"{rounds} rounds, {spent.tool_calls} looks, {spent.tokens} tokens, ${spent.usd:.2f}"
        if verdict.objection is not None:
            detail = f"{told}: {verdict.diagnosis.summary}"[:1_000]
            events: tuple[ev.AnyEvent, ...] = (ev.RefinementEnded(reason=verdict.objection, detail=detail),)
        else:
            events = (
                ev.ReportMade(reason=Reason.MODEL_REFINED, diagnosis=verdict.diagnosis),
                ev.RefinementEnded(reason=Reason.MODEL_REFINED, detail=told),
            )
        await self._ledger.write(*events, journal=self._means.journal)

    async def stop(self) -> None:
        """Leave nothing running, and nothing uncounted."""
        await self._looking.stop()
        self._meter.worked()

    async def _verdict(self) -> Verdict:
        more = ""
        if self._limits.hypotheses > 1 and self._report.confidence < self._limits.race_below:
            race = Race(self._model, self._thinking, self._ledger, self._memory, self._meter, self._limits)
            winner, found = await race.run(await self._brief(), self._fence, self._supported)
            if winner is not None:
                return self._judged(winner)
            if found:
                more = prompt.TOGETHER.format(found=self._fence("explanations", self._mask(found)))
        sure = self._report.confidence >= self._limits.small_from
        verdict = self._judged(await self._answered(_MAIN, more, ModelTier.SMALL if sure else ModelTier.LARGE))
        better = verdict.objection is None and verdict.diagnosis.confidence >= self._report.confidence
        if not sure or better or self._meter.refuses(self._memory.thought(_MAIN), self._limits.rounds + 1):
            return verdict
        found = f"{verdict.diagnosis.root_cause}\n{verdict.diagnosis.summary}"
        more = prompt.TOGETHER.format(found=self._fence("a small model's answer", found))
        return self._judged(await self._answered(_DEEPER, more, ModelTier.LARGE))

    async def _answered(self, line: str, more: str, tier: ModelTier) -> Found:
        if line not in self._memory.thoughts:
            await self._thinking.begin(line, f"{await self._brief()}\n\n{more}".strip(), self._fence.nonce)
        why = await self._thinking.pursue(line, self._limits.rounds, tier)
        return await self._thinking.conclude(line, why, tier)

    def _supported(self, answer: Answer, reply: ModelReply) -> bool:
        verdict = self._judged((answer, reply))
        known = answer.known and verdict.objection is None
        return known and verdict.diagnosis.confidence >= self._limits.confirm_from

    def _judged(self, found: Found) -> Verdict:
        answer, reply = found
        incident, playbooks = self._ledger.incident, self._means.playbooks
        return judge(answer, reply, incident, self._report, self._memory, playbooks, self._mask)

    async def _brief(self) -> str:
        if not self._text:
            outputs = tuple(self._memory.outputs.values())
            told = prompt.brief(self._ledger.incident, self._report, outputs, await self._runbooks(), self._fence)
            self._text = self._mask(f"{told}\n\n{prompt.catalogue(self._means.playbooks.all)}")
        return self._text

    async def _runbooks(self) -> tuple[Runbook, ...]:
        if self._means.runbooks is None:
            return ()
        try:
            async with asyncio.timeout(_RUNBOOKS_S):
                return await self._means.runbooks.find(self._ledger.incident, self._report)
        except Exception:  # advice for people: without it the investigation goes on
            log.exception("no runbooks", extra={"incident": self._ledger.incident.id})
            return ()
