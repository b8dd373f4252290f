"""The cluster, assembled: store, controllers, scheduler and kubelets around one clock."""

from __future__ import annotations

from random import Random

from midwatch.sandbox.clock import SteppedClock
from midwatch.sandbox.cluster.behaviours import Rule, Rulebook
from midwatch.sandbox.cluster.configuration import Configuration
from midwatch.sandbox.cluster.deployments import Deployments
from midwatch.sandbox.cluster.garbage import Garbage
from midwatch.sandbox.cluster.jobs import CronJobs, Jobs
from midwatch.sandbox.cluster.kubelet import Kubelets
from midwatch.sandbox.cluster.logbook import Logbook
from midwatch.sandbox.cluster.loop import Simulation
from midwatch.sandbox.cluster.nodes import Nodes
from midwatch.sandbox.cluster.pace import Pace
from midwatch.sandbox.cluster.recorder import Recorder
from midwatch.sandbox.cluster.replicasets import ReplicaSets
from midwatch.sandbox.cluster.scheduler import Scheduler
from midwatch.sandbox.cluster.services import Endpoints
from midwatch.sandbox.cluster.workloads import Budgets, DaemonSets, StatefulSets
from midwatch.sandbox.store import Store


class Cluster:
    """A cluster without its API: what scenarios act on and tests look at."""

    def __init__(
        self, clock: SteppedClock, random: Random, ordinary: Rule, *, pace: Pace | None = None, history: int = 50_000
    ) -> None:
        self.clock = clock
        self.random = random
        self.store = Store(clock, random, history=history)
        self.simulation = Simulation(self.store, clock, random, pace or Pace())
        self.rules = Rulebook(ordinary)
        self.rules.add(Configuration(self.store).decide)
        self.logs = Logbook(clock)
        self.recorder = Recorder(self.simulation)
        self.kubelets = Kubelets(self.simulation, self.rules, self.logs, self.recorder)
        self.nodes = Nodes(self.simulation, self.kubelets, self.recorder)
        self.cronjobs = CronJobs(self.simulation, self.recorder)
        for controller in (
            Deployments(self.simulation, self.recorder),
            ReplicaSets(self.simulation, self.recorder),
            StatefulSets(self.simulation, self.recorder),
            DaemonSets(self.simulation, self.recorder),
            Jobs(self.simulation, self.recorder),
            self.cronjobs,
            Scheduler(self.simulation, self.recorder),
            self.kubelets,
            Endpoints(self.simulation),
            Budgets(self.simulation),
            Garbage(self.simulation),
            self.nodes,
        ):
            self.simulation.add(controller)

    def start(self) -> None:
        """Begin what goes by the clock: heartbeats and schedules."""
        self.nodes.start()
        self.cronjobs.start()

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass at once, with all that happens in them."""
        end = self.clock.now() + seconds
        while True:
            due = self.simulation.run()
            if due is None or due > end:
                break
            self.clock.advance(max(0.0, due - self.clock.now()))
        self.clock.advance(max(0.0, end - self.clock.now()))
        self.simulation.run()
