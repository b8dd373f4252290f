"""The services from planning to execution over the in-memory store and a fake cluster."""

from datetime import timedelta
from pathlib import Path

import msgspec

from midwatch.adapters.catalog.playbooks import Playbooks, load_playbooks
from midwatch.adapters.store.stores import Stores
from midwatch.domain import events as ev
from midwatch.domain.approvals import Choice, Click
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.ids import ClickId, IncidentId, IncidentKey, SignalId
from midwatch.domain.incidents import Incident, Work
from midwatch.domain.policy import Policy
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Tier
from midwatch.services.approvals import Approvals
from midwatch.services.brakes import Brakes
from midwatch.services.checking import Checking
from midwatch.services.execution import Execution, Pace
from midwatch.services.freeing import Freeing
from midwatch.services.planning import Planning
from midwatch.services.ports import Claim
from midwatch.services.shadowing import Shadowing
from midwatch.services.users import People
from tests.fakes.cluster import WEB, FakeCluster, HastyClock
from tests.fakes.runtime import CountingIds
from tests.fakes.stores import MemoryStore
from tests.fakes.users import Everybody

PLAYBOOKS = load_playbooks(Path(__file__).parents[2] / "playbooks")
TTL = timedelta(seconds=6)
TIMEOUT = timedelta(minutes=5)


class Bench:
    """Everything one remediation needs, with a policy that can be replaced."""

    def __init__(
        self, cluster: FakeCluster | None = None, policy: Policy | None = None, store: Stores | None = None
    ) -> None:
        self.cluster = cluster or FakeCluster()
        self.policy = policy or Policy(cooldown_s=0.0)
        self.clock, self.ids = HastyClock(), CountingIds()
        self.store: Stores | MemoryStore = store or MemoryStore()
        self.checking = Checking()
        self.pace = Pace()
        self.people: People = Everybody()
        self.playbooks = PLAYBOOKS

    def with_steps(self, playbook: str, count: int, **changes: object) -> Playbooks:
        """The shipped playbooks, this one with its first step so many times; ``changes`` go into the last."""
        found = PLAYBOOKS.get(playbook)
        assert found is not None
        last = msgspec.structs.replace(found.steps[0], **changes)
        changed = msgspec.structs.replace(found, steps=(*found.steps[:1] * (count - 1), last))
        return Playbooks(tuple(changed if item.id == playbook else item for item in PLAYBOOKS.all))

    def current(self) -> Policy:
        """This is the policy source, too."""
        return self.policy

    @property
    def planning(self) -> Planning:
        return Planning(
            self.store.journal,
            self.playbooks,
            self,
            self.cluster,
            self.cluster,
            self.clock,
            by="planner",
            brakes=self.brakes,
            checking=self.checking,
            shadowing=self.shadowing,
        )

    @property
    def shadowing(self) -> Shadowing:
        return Shadowing(self.store.shadows, {"test": self.cluster}, self.clock)

    @property
    def brakes(self) -> Brakes:
        return Brakes(self.store.pauses, self.store.deeds, self, self.clock)

    @property
    def approvals(self) -> Approvals:
        journal, clicks = self.store.journal, self.store.clicks
        clock, ids, playbooks = self.clock, self.ids, self.playbooks
        return Approvals(
            journal, clicks, self.cluster, self.people, clock, ids, playbooks=playbooks, timeout=TIMEOUT, by="broker"
        )

    @property
    def execution(self) -> Execution:
        store = self.store
        return Execution(
            store.journal,
            store.work,
            store.leases,
            self.cluster,
            self.cluster,
            self,
            self.clock,
            self.ids,
            by="executor",
            brakes=self.brakes,
            playbooks=self.playbooks,
            checking=self.checking,
            pace=self.pace,
        )

    @property
    def freeing(self) -> Freeing:
        return Freeing(self.store.journal, self.store.leases, self, self.clock)

    async def incident(
        self,
        condition: str = "CrashLoopBackOff",
        *,
        playbook: str = "",
        subject: ObjectRef = WEB,
        owner: ObjectRef = WEB,
        parameters: dict[str, str] | None = None,
        tier: Tier = Tier.SUPERVISED,
        confidence: float = 0.9,
    ) -> Incident:
        """An open incident on the deployment with one firing signal and a report."""
        number = self.ids.new()
        events: list[ev.AnyEvent] = [
            ev.IncidentOpened(
                reason=Reason.RULE_MATCHED,
                key=IncidentKey(number),
                cluster="test",
                condition=condition,
                severity=Severity.ERROR,
                title="web is in trouble",
                subject=owner,
                owner=owner,
                rule="test",
                tier=tier,
            ),
            self.firing(owner),
            ev.ReportMade(
                reason=Reason.BUILT_IN_ANALYSIS,
                diagnosis=Diagnosis(
                    root_cause="x",
                    summary="x",
                    confidence=confidence,
                    condition=condition,
                    subject=subject,
                    playbook=playbook,
                    parameters=parameters or {},
                ),
            ),
        ]
        return await self.store.journal.open(IncidentId(number), events, at=self.clock.now(), by="test")

    def firing(self, subject: ObjectRef = WEB) -> ev.SignalAttached:
        """The incident's one signal."""
        return ev.SignalAttached(
            reason=Reason.RULE_MATCHED,
            signal=SignalId(self.ids.new()),
            identity="one",
            episode="one@1",
            source="watch",
            condition="CrashLoopBackOff",
            severity=Severity.ERROR,
            subject=subject,
        )

    async def clears(self, incident: Incident) -> Incident:
        """Its signal is over."""
        incident = await self.store.journal.read(incident.id)
        cleared = ev.SignalCleared(
            reason=Reason.SIGNAL_CLEARED, signal=SignalId(self.ids.new()), identity="one", episode="one@1"
        )
        return await self.store.journal.append(incident, [cleared], at=self.clock.now(), by="test")

    async def closes(self, incident: Incident) -> Incident:
        """A person has dealt with it."""
        incident = await self.store.journal.read(incident.id)
        closed = ev.Closed(reason=Reason.CLOSED_BY_HUMAN, by="api:ann")
        return await self.store.journal.append(incident, [closed], at=self.clock.now(), by="test")

    async def fires(self, incident: Incident) -> Incident:
        """Its signal fires again."""
        incident = await self.store.journal.read(incident.id)
        return await self.store.journal.append(incident, [self.firing()], at=self.clock.now(), by="test")

    async def claim(self, work: Work, owner: str = "me") -> Claim:
        """The one piece of such work that is due."""
        (claim,) = await self.store.work.claim([work], owner=owner, now=self.clock.now(), ttl=TTL)
        return claim

    async def due(self, work: Work) -> bool:
        """Whether there is such work to claim; takes it."""
        return bool(await self.store.work.claim([work], owner="asker", now=self.clock.now(), ttl=TTL))

    async def planned(self, incident: Incident) -> Incident:
        return await self.planning.propose(await self.claim(Work.PLAN))

    async def asked(self, incident: Incident) -> Incident:
        """Planned, and the question put."""
        await self.planned(incident)
        return await self.approvals.ask(await self.claim(Work.ASK))

    def answer(self, incident: Incident, choice: Choice, *, user: str = "api:alice", digest: str = "") -> Click:
        """A click on the incident's open question, made now."""
        assert incident.approval is not None
        return Click(
            id=ClickId(self.ids.new()),
            approval_id=incident.approval.id,
            choice=choice,
            user=user,
            channel="api",
            at=self.clock.now(),
            digest=digest,
        )

    async def clicked(self, incident: Incident, choice: Choice, **more: str) -> Incident:
        """Click and have it judged."""
        await self.approvals.click(self.answer(incident, choice, **more))
        await self.approvals.drain()
        return await self.store.journal.read(incident.id)

    async def approved(self, incident: Incident) -> Incident:
        """Planned, asked, approved, confirmed where that is asked."""
        asked = await self.asked(incident)
        self.clock.advance(1.0)
        done = await self.clicked(asked, Choice.APPROVE)
        if asked.approval is not None and asked.approval.confirm:
            self.clock.advance(1.0)
            done = await self.clicked(asked, Choice.CONFIRM)
        return done

    async def executed(self) -> Incident:
        return await self.execution.run(await self.claim(Work.EXECUTE))

    async def story(self, incident: Incident) -> list[str]:
        """The names of the journal's events."""
        return [type(entry.event).__name__ for entry in await self.store.journal.entries(incident.id)]
