"""The parts only the edge uses: Redis for what replicas share, and the schema where no `midwatch up` sees to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from midwatch.adapters.alertmanager.client import AlertmanagerClient
from midwatch.adapters.redis.cache import RedisCache
from midwatch.adapters.redis.rate_limit import SharedRateLimiter
from midwatch.adapters.store.database import Database
from midwatch.domain.errors import Permanent
from midwatch.services.limiting import LocalRateLimiter
from midwatch.settings import Settings


@asynccontextmanager
async def open_cache(settings: Settings) -> AsyncIterator[RedisCache]:
    """Redis, which may be away: what it holds is a cache."""
    if settings.redis_url is None:
        raise Permanent("no Redis URL: `midwatch up` gives one; set MIDWATCH_REDIS_URL where it does not run")
    cache = RedisCache(settings.redis_url.get_secret_value(), timeout_s=1.0)
    try:
        yield cache
    finally:
        await cache.close()


def shared_rate_limiter(cache: RedisCache) -> SharedRateLimiter:
    """Counts for all processes together; each counts for itself while Redis is away."""
    return SharedRateLimiter(cache, LocalRateLimiter())


@asynccontextmanager
async def open_limiter(settings: Settings) -> AsyncIterator[SharedRateLimiter]:
    """For a process that has no other use for Redis."""
    async with open_cache(settings) as cache:
        yield shared_rate_limiter(cache)


def alertmanager_of(settings: Settings) -> AlertmanagerClient | None:
    """The Alertmanager to ask for what its bodies leave out; ``None`` where none is set."""
    return AlertmanagerClient(settings.alertmanager_url.get_secret_value()) if settings.alertmanager_url else None


async def prepare_schema(settings: Settings) -> None:
    """Bring the database up to this version. Raises ``Permanent`` without a URL, ``Transient`` while it is away."""
    from midwatch.adapters.store.migrate import migrate  # 0.7 s, and once in the life of a cluster

    if settings.database_url is None:
        raise Permanent("set MIDWATCH_DATABASE_URL: a cluster keeps its state in a PostgreSQL of its own")
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        await migrate(database)
    finally:
        await database.close()
