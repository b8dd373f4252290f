"""A refinement over the in-memory store: an incident with a first report, a scripted model, and tools that are told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import msgspec

from midwatch.adapters.catalog.playbooks import load_playbooks
from midwatch.domain import events as ev
from midwatch.domain.diagnosis import Diagnosis, Evidence
from midwatch.domain.dialogue import ToolSpec
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Work
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.domain.servers import ServerRecord
from midwatch.services.model_ports import Model, Runbook, ToolAnswer
from midwatch.services.ports import Claim
from midwatch.services.reasoning.limits import DayWork, Limits, uncounted
from midwatch.services.reasoning.memory import Memory
from midwatch.services.reasoning.refinement import Means, Refinement
from tests.fakes.runtime import NOON, CountingIds, ManualClock
from tests.fakes.samples import POD, attached, opened
from tests.fakes.stores import MemoryStore

PLAYBOOKS = load_playbooks(Path(__file__).parents[2] / "playbooks")
TTL = timedelta(seconds=6)
LOG = "starting\nconnecting to db:5432\npanic: connection refused\nexit status 2\n"
FIRST = Diagnosis(
    root_cause="the container exits with 2",
    summary="web-1 crashes again and again.",
    confidence=0.6,
    condition="CrashLoopBackOff",
    family="crash",
    subject=POD,
    evidence=(Evidence("logs:web-1/app", "exit status 2", line=4),),
    next_checks=("kubectl describe pod web-1",),
    playbook="restart-workload",
)

Told: TypeAlias = str | ToolAnswer | Exception | Callable[[str], "ToolAnswer | Awaitable[ToolAnswer]"]


class Tools:
    """A toolbox that answers by the tool's name. ``calls`` is what it was asked, in order."""

    def __init__(self, answers: Mapping[str, Told] | None = None) -> None:
        self.answers = dict(answers if answers is not None else {"logs": LOG, "events": "nothing happened"})
        self.calls: list[tuple[str, str]] = []
        self.trouble: Exception | None = None

    async def offer(self) -> tuple[ToolSpec, ...]:
        if self.trouble is not None:
            raise self.trouble
        schema = '{"type":"object"}'
        return tuple(ToolSpec(name=name, description=name, parameters=schema) for name in self.answers)

    async def call(self, name: str, arguments: str) -> ToolAnswer:
        self.calls.append((name, arguments))
        await asyncio.sleep(0)
        told = self.answers.get(name)
        if isinstance(told, Exception):
            raise told
        if callable(told):
            made = told(arguments)
            return await made if isinstance(made, Awaitable) else made
        if isinstance(told, ToolAnswer):
            return told
        return ToolAnswer(text=told) if told is not None else ToolAnswer(text=f"no tool {name}", ok=False)


class Shelf:
    """Runbooks as told."""

    def __init__(self, *books: Runbook) -> None:
        self.books = books

    async def find(self, incident: Incident, report: Diagnosis) -> tuple[Runbook, ...]:
        return self.books


class Study:
    """One incident whose first report a model may improve."""

    def __init__(
        self,
        model: Model | None,
        tools: Tools | None = None,
        *,
        limits: Limits | None = None,
        first: Diagnosis = FIRST,
        shelf: Shelf | None = None,
        store: MemoryStore | None = None,
        signals: Sequence[ev.SignalAttached] = (),
        looks: Sequence[ev.ToolCalled] = (),
    ) -> None:
        self.model, self.tools, self.shelf = model, tools or Tools(), shelf
        self.limits = limits or Limits(race_below=0.0)
        self.first, self.signals, self.looks = first, signals, looks
        self.clusters: list[str] = []
        self.day_work: DayWork = uncounted
        self.store, self.clock, self.ids = store or MemoryStore(), ManualClock(), CountingIds()
        self.id = IncidentId("0000000a-0000-7000-8000-000000000001")

    async def begin(self) -> Incident:
        """The incident, up to its first report."""
        first_look = ev.ToolCalled(
            reason=Reason.EVIDENCE_GATHERED, call_id="3.1", tool="kubernetes.log", input="web-1/app", output=LOG
        )
        events: list[ev.AnyEvent] = [
            opened(),
            *(self.signals or (attached(),)),
            ev.InvestigationStarted(reason=Reason.CLAIMED, worker="w"),
            *(self.looks or (first_look,)),
            ev.ReportMade(reason=Reason.BUILT_IN_ANALYSIS, diagnosis=self.first, refine=True),
        ]
        return await self.store.journal.open(self.id, events, at=NOON, by="test")

    async def claim(self, owner: str = "worker") -> Claim:
        """The claim to refine; one that is held is taken over."""
        await self.store.work.abandon("worker")
        (claim,) = await self.store.work.claim([Work.REFINE], owner=owner, now=self.clock.now(), ttl=TTL)
        return claim

    def refinement(self) -> Refinement:
        means = Means(
            model=self.model,
            tools=self,
            playbooks=PLAYBOOKS,
            runbooks=self.shelf,
            journal=self.store.journal,
            quiet=self.store.journal,
            day_work=self.day_work,
        )
        return Refinement(means, self.limits, self.clock, self.ids, by="worker")

    def of(self, cluster: str) -> Tools:
        """The tools of whichever cluster; ``clusters`` keeps which was asked for."""
        self.clusters.append(cluster)
        return self.tools

    def records(self) -> tuple[ServerRecord, ...]:
        return ()

    async def run(self) -> Incident:
        """From the first report to the end of the refinement."""
        await self.begin()
        return await self.go_on()

    async def go_on(self) -> Incident:
        await self.refinement().run(await self.claim())
        return await self.incident()

    async def incident(self) -> Incident:
        return await self.store.journal.read(self.id)

    async def events(self) -> list[ev.AnyEvent]:
        return [entry.event for entry in await self.store.journal.entries(self.id, limit=10_000)]

    async def memory(self) -> Memory:
        entries = await self.store.journal.entries(self.id, limit=10_000)
        return Memory.of(entries, self.limits.shown_bytes)

    async def ended(self) -> ev.RefinementEnded:
        """How it ended; there is one end."""
        (found,) = [event for event in await self.events() if isinstance(event, ev.RefinementEnded)]
        return found


def answer(**changes: object) -> str:
    """A model's last word: the database refuses connections, shown by the log that was there from the start."""
    told: dict[str, object] = {
        "known": True,
        "root_cause": "the database refuses connections",
        "summary": "web-1 cannot reach db:5432 and exits.",
        "title": "web cannot reach its database",
        "confidence": 0.9,
        "evidence": [{"call_id": "3.1", "line": 3, "quote": "panic: connection refused"}],
        "next_checks": ["look at the database"],
    }
    return msgspec.json.encode(told | changes).decode()


def pods(count: int) -> tuple[ev.SignalAttached, ...]:
    return tuple(attached(number, f"web-{number}") for number in range(1, count + 1))


DEPLOYMENT = ObjectRef("Deployment", "web", "shop")
