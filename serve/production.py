"""The edge as it runs in the house: real stores, actors by name, and their metrics gathered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ray.exceptions import RayError

from actors import clients, names
from midwatch.bootstrap import prepare_resources
from midwatch.bootstrap.channels import doors_of
from midwatch.bootstrap.serving import alertmanager_of, open_cache, shared_rate_limiter
from midwatch.processes import settle_collector
from midwatch.settings import Settings
from midwatch.telemetry import Family, Metrics, exposition, set_up_logging
from midwatch.tokens import token_in
from serve.dependencies import Edge, Limits
from serve.probes import Part, Probe


@asynccontextmanager
async def open_edge(settings: Settings) -> AsyncIterator[Edge]:
    """One replica's edge. The store may be away: requests then answer 503 until it is back."""
    set_up_logging("edge", level=settings.log_level, folder=settings.log_dir)
    async with prepare_resources(settings, owner="edge") as resources, open_cache(settings) as cache:
        metrics = Metrics()
        own = (Part("store", resources.database, required=True), Part("redis", cache))
        probe = Probe(own, names.house(settings), clients.Directory().health)
        token = settings.api_token.get_secret_value() if settings.api_token else token_in(settings.token_file)[0]
        rate = shared_rate_limiter(cache)
        settle_collector()
        bells = clients.ActorBells(settings.active_channels)
        yield Edge(
            inbox=resources.stores.inbox,
            journal=resources.stores.journal,
            clicks=resources.stores.clicks,
            silences=resources.stores.silences,
            users=resources.users(),
            audit=resources.stores.audit,
            heartbeats=resources.stores.heartbeats,
            pauses=resources.stores.pauses,
            conversations=resources.stores.conversations,
            shadows=resources.stores.shadows,
            spend=resources.stores.spend,
            day_budget=settings.day_budget,
            tool_servers=clients.tool_servers,
            clock=resources.clock,
            ids=resources.ids,
            bells=bells,
            doors=doors_of(resources, bells, bells.heard, clients.tell, rate),
            token=token,
            cluster=settings.clusters[0],
            aliases=settings.aliases,
            health=probe.health,
            needed=probe.needed,
            scrape=lambda: _scraped(metrics),
            rate=rate,
            limits=Limits(
                max_body_bytes=settings.max_body_bytes,
                inbox_depth=settings.inbox_limit,
                requests_per_minute=settings.rate_limit_per_minute,
                chat_session_s=settings.chat_session_s + settings.chat_grace_s,
            ),
            alertmanager=alertmanager_of(settings),
            metrics=metrics,
        )


async def _scraped(own: Metrics) -> bytes:
    try:
        everyone = await clients.everyone()
    except RayError:
        everyone = ()
    gathered = await asyncio.gather(*(clients.scrape(name) for name in everyone))
    by_actor: dict[str, tuple[Family, ...] | None] = dict(zip(everyone, gathered, strict=True))
    return exposition({**by_actor, "edge": own.families()})
