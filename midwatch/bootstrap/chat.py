"""The part that answers questions: the chat over a read-only sight of the watched clusters."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from midwatch.adapters.catalog.people import FilePeople
from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.sight import ClusterSight
from midwatch.adapters.redis.sessions import RedisSessions
from midwatch.adapters.system import SystemSecrets
from midwatch.bootstrap import Resources
from midwatch.bootstrap.models import open_model
from midwatch.bootstrap.serving import open_cache, shared_rate_limiter
from midwatch.domain.intents import Kind
from midwatch.services.chat.deciding import Deciding
from midwatch.services.chat.desk import Chat, Extra, Helpers
from midwatch.services.chat.freezing import Freezing
from midwatch.services.chat.oncall import OnCall
from midwatch.services.chat.requesting import Requesting
from midwatch.services.chat.scanning import Scanning
from midwatch.services.chat.sight import Looking, Sights
from midwatch.services.chat.talking import Talking
from midwatch.services.chat.watch import Watchkeeping
from midwatch.services.chat.where import Where
from midwatch.services.linking import Linking
from midwatch.services.messaging import Incoming
from midwatch.services.model_ports import Model, Toolboxes
from midwatch.services.models.front import Models
from midwatch.services.reasoning.limits import uncounted
from midwatch.services.runtime import Bells, Clock
from midwatch.services.stopping import Stopping
from midwatch.settings import ClusterTarget


@asynccontextmanager
async def open_chat(
    resources: Resources,
    bells: Bells,
    approvals: Incoming | None = None,
    *,
    model: Model | None = None,
    tools: Toolboxes | None = None,
) -> AsyncIterator[Chat]:
    """A process' chat. ``approvals`` answers approvals written in channels, by their own rules of place.

    With ``model``, or the configured one, it talks; with ``tools`` it scans, where servers are named for that.
    """
    settings, stores = resources.settings, resources.stores
    targets = settings.targets
    clock, ids = resources.clock, resources.ids
    async with (
        open_cache(settings) as cache,
        AsyncExitStack() as stack,
    ):
        scanners = tuple(f"{name.strip()}_" for name in settings.security_scan_servers.split(",") if name.strip())
        if model is None and (configured := open_model(resources)) is not None:
            stack.push_async_callback(configured.close)
            model = configured
        if tools is None and (scanners or model is not None):
            from midwatch.bootstrap.tools import open_toolboxes  # the MCP SDK takes 0.7 s: only who calls tools has it

            tools = await stack.enter_async_context(open_toolboxes(resources))
        sights = Sights({target.name: await stack.enter_async_context(_seen(target, clock)) for target in targets})
        watch = Watchkeeping(stores.journal, stores.silences, clock, ids)
        freezing = Freezing(Stopping(stores.journal, stores.pauses, clock, ids), clock)
        extras: dict[Kind, Extra] = {
            Kind.FREEZE: freezing,
            Kind.UNFREEZE: freezing,
            Kind.ON_CALL: OnCall(FilePeople(settings.people_file), clock),
        }
        if tools is not None and scanners:
            extras[Kind.SCAN] = Scanning(tools.of(settings.clusters[0]), servers=scanners)
        helpers = Helpers(
            where=Where(settings.clusters, settings.aliases, stores.journal),
            looking=Looking(sights),
            watch=watch,
            deciding=Deciding(stores.journal, stores.clicks, watch, clock, bells),
            extras=extras,
            talker=_talker(resources, model, tools) if model is not None and tools is not None else None,
            requesting=Requesting(resources.journal(bells), sights, clock, ids, clusters=settings.clusters),
        )
        yield Chat(
            resources.users(),
            stores.conversations,
            RedisSessions(cache, ttl_s=settings.chat_session_s + settings.chat_grace_s),
            helpers,
            clock,
            ids,
            linking=Linking(resources.users(), shared_rate_limiter(cache), clock),
            approvals=approvals,
        )


@asynccontextmanager
async def _seen(target: ClusterTarget, clock: Clock) -> AsyncIterator[ClusterSight]:
    async with open_kube(target.kubeconfig, target.context, in_cluster=target.in_cluster) as kube:
        yield ClusterSight(kube, clock)


def _talker(resources: Resources, model: Model, tools: Toolboxes) -> Talking:
    settings, stores = resources.settings, resources.stores
    pairs = (pair.partition("=") for pair in settings.chat_models.split(",") if pair)
    return Talking(
        model,
        tools,
        stores.conversations,
        stores.journal,
        resources.users(),
        resources.clock,
        nonce=SystemSecrets().code,
        channel_models={channel: name for channel, _, name in pairs},
        window_tokens=settings.chat_window_tokens,
        clusters=settings.clusters,
        day_work=model.meter.work if isinstance(model, Models) else uncounted,
    )
