"""What one replica of the edge works with, and how a request gets at it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request

from midwatch.domain.budgets import Budget
from midwatch.domain.servers import ToolServers
from midwatch.services.brakes import PauseBook
from midwatch.services.conversations import Conversations
from midwatch.services.heartbeats import HeartbeatBook
from midwatch.services.ports import AuditTrail, ClickBox, Inbox, Journal, SilenceBook
from midwatch.services.reception import Door
from midwatch.services.runtime import Bells, Clock, Ids
from midwatch.services.shadowing import ShadowBook
from midwatch.services.spending import SpendBook
from midwatch.services.users import Users
from midwatch.telemetry import Metrics
from serve.schemas.meaning import MeaningOfAlert, meaning_of_alert


@dataclass(frozen=True, kw_only=True)
class Subsystem:
    """The health of one part, for people. ``required``: without it the edge cannot take requests."""

    name: str
    ok: bool
    detail: str = ""
    required: bool = False


class SenderApi(Protocol):
    """The API of the Alertmanager that sends to us."""

    async def group(self, receiver: str, labels: Mapping[str, str]) -> bytes:
        """The answer to a question for one group's alerts. Raises ``Transient`` when there is none."""
        ...


class RateLimiter(Protocol):
    """Requests per client. The shared one counts in Redis and falls back to this process while Redis is away."""

    async def allow(self, key: str, per_minute: int, now: datetime) -> bool:
        """Whether one more request of this client fits in its rate."""
        ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is taken at the door. Sizes in bytes, times in seconds."""

    max_body_bytes: int = 4 * 1024 * 1024
    inbox_depth: int = 20_000
    """Unsettled signals above which webhooks answer 503: the sender keeps the alert and repeats it."""
    requests_per_minute: int = 60
    session_s: float = 12 * 3600
    chat_session_s: float = 330.0
    """How long after its last message a conversation is gone on with."""
    chat_answer_s: float = 25.0
    """How long a program's question waits for its answer before it is 202."""
    judgement_s: float = 5.0
    """How long an answer to an approval waits to be judged before it is 202."""
    poll_s: float = 0.4
    """How often a live stream looks for new entries."""
    heartbeat_s: float = 15.0
    linger_s: float = 1800.0
    """How long a page stays live after its incident is over, in case it fires again."""


async def no_servers() -> tuple[ToolServers, ...]:
    """Where no worker can be asked."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Everything a route may use. One per replica; built by ``open_edge`` and closed with the app."""

    inbox: Inbox
    journal: Journal
    clicks: ClickBox
    silences: SilenceBook
    users: Users
    audit: AuditTrail
    heartbeats: HeartbeatBook
    pauses: PauseBook
    conversations: Conversations
    shadows: ShadowBook
    clock: Clock
    ids: Ids
    bells: Bells
    token: str
    """Bearer token of the API; the console's sessions are signed with a key derived from it."""
    cluster: str
    """The cluster that an alert without a ``cluster`` label is about: the first that is watched."""
    health: Callable[[], Awaitable[tuple[Subsystem, ...]]]
    needed: Callable[[], Awaitable[tuple[Subsystem, ...]]]
    scrape: Callable[[], Awaitable[bytes]]
    """Metrics of all actors in Prometheus' text format."""
    rate: RateLimiter
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Watched clusters by the other names that alerts have for them."""
    limits: Limits = field(default_factory=Limits)
    meaning: MeaningOfAlert = meaning_of_alert
    alertmanager: SenderApi | None = None
    """Asked for what a truncated body left out; ``None``: nobody is."""
    spend: SpendBook
    """What models cost, day by day."""
    day_budget: Budget = field(default_factory=Budget)
    """The most that models may spend in a day, for people to compare with."""
    tool_servers: Callable[[], Awaitable[tuple[ToolServers, ...]]] = no_servers
    """How the tool servers of each worker stand."""
    doors: Mapping[str, Door] = field(default_factory=dict)
    """Where channels' own requests come in, by channel; without one the channel sends none."""
    metrics: Metrics = field(default_factory=Metrics)
    """What this replica counts; ``scrape`` adds it to the actors' own."""


OpenEdge = Callable[[], AbstractAsyncContextManager[Edge]]
"""Opens what the edge needs, closes it in order. Must not fail because a store is away: the edge then answers 503."""


async def edge_of(request: Request) -> Edge:
    """The replica's edge, put into the app's state by its lifespan. Async, as all dependencies: no thread is needed."""
    edge: Edge = request.app.state.edge
    return edge


TheEdge = Annotated[Edge, Depends(edge_of)]
