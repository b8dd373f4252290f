"""The part that answers questions: the chat over a read-only sight of the watched cluster."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.sight import ClusterSight
from midwatch.adapters.redis.sessions import RedisSessions
from midwatch.bootstrap import Resources
from midwatch.bootstrap.serving import open_cache
from midwatch.domain.intents import Kind
from midwatch.services.chat.deciding import Deciding
from midwatch.services.chat.desk import Chat, Helpers
from midwatch.services.chat.freezing import Freezing
from midwatch.services.chat.requesting import Requesting
from midwatch.services.chat.sight import Looking
from midwatch.services.chat.watch import Watchkeeping
from midwatch.services.messaging import Incoming
from midwatch.services.runtime import Bells
from midwatch.services.stopping import Stopping


@asynccontextmanager
async def open_chat(resources: Resources, bells: Bells, approvals: Incoming | None = None) -> AsyncIterator[Chat]:
    """A process' chat. ``approvals`` answers approvals written in channels, by their own rules of place."""
    settings, stores = resources.settings, resources.stores
    clock, ids = resources.clock, resources.ids
    async with (
        open_kube(settings.kubeconfig, settings.context, in_cluster=settings.in_cluster) as kube,
        open_cache(settings) as cache,
    ):
        sight = ClusterSight(kube, clock)
        watch = Watchkeeping(stores.journal, stores.silences, clock, ids)
        freezing = Freezing(Stopping(stores.journal, stores.pauses, clock, ids), clock)
        helpers = Helpers(
            looking=Looking(sight),
            watch=watch,
            deciding=Deciding(stores.journal, stores.clicks, watch, clock, bells),
            extras={Kind.FREEZE: freezing, Kind.UNFREEZE: freezing},
            requesting=Requesting(resources.journal(bells), sight, clock, ids, cluster=settings.clusters[0]),
        )
        yield Chat(
            resources.users(),
            stores.conversations,
            RedisSessions(cache, ttl_s=settings.chat_session_s + settings.chat_grace_s),
            helpers,
            clock,
            ids,
            approvals=approvals,
        )
