import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from midwatch.adapters.embedded.valkey import EmbeddedValkey
from midwatch.adapters.redis.cache import RedisCache
from midwatch.adapters.redis.rate_limit import SharedRateLimiter
from midwatch.domain.errors import Transient
from midwatch.services.limiting import LocalRateLimiter
from tests.fakes.runtime import NOON


@pytest.fixture
async def cache(embedded_valkey: EmbeddedValkey) -> AsyncIterator[RedisCache]:
    embedded_valkey.start()
    cache = RedisCache(embedded_valkey.url, timeout_s=0.5)
    await cache.client.flushall()
    yield cache
    await cache.close()


def limiter_of(cache: RedisCache) -> SharedRateLimiter:
    return SharedRateLimiter(cache, LocalRateLimiter())


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


async def test_a_client_gets_its_rate_and_no_more(cache: RedisCache) -> None:
    limiter = limiter_of(cache)
    assert [await limiter.allow("ann", 3, NOON) for _ in range(4)] == [True, True, True, False]
    assert await limiter.allow("bob", 3, NOON)
    assert not await limiter.allow("ann", 3, NOON + seconds(19))
    assert await limiter.allow("ann", 3, NOON + seconds(21))
    assert not await limiter.allow("ann", 3, NOON + seconds(22))
    later = NOON + seconds(600)
    assert [await limiter.allow("ann", 3, later) for _ in range(4)] == [True, True, True, False]


async def test_replicas_share_one_bucket(cache: RedisCache) -> None:
    one, two = limiter_of(cache), limiter_of(cache)
    assert [await limiter.allow("ann", 3, NOON) for limiter in (one, two, one, two)] == [True, True, True, False]
    assert not await one.allow("ann", 3, NOON - seconds(60))  # a clock that is behind gains nothing


async def test_without_redis_each_replica_limits_alone_and_finds_back(
    cache: RedisCache, embedded_valkey: EmbeddedValkey
) -> None:
    limiter = limiter_of(cache)
    assert embedded_valkey.pid is not None
    os.kill(embedded_valkey.pid, signal.SIGKILL)
    with pytest.raises(Transient):
        await cache.health()
    assert [await limiter.allow("ann", 3, NOON) for _ in range(4)] == [True, True, True, False]
    assert await limiter.allow("ann", 3, NOON + seconds(21))
    embedded_valkey.start()
    await cache.health()
    back = NOON + seconds(30)
    assert [await limiter.allow("ann", 3, back) for _ in range(4)] == [True, True, True, False]


async def test_what_was_written_survives_a_clean_stop(cache: RedisCache, embedded_valkey: EmbeddedValkey) -> None:
    await cache.client.set("kept", "yes")
    embedded_valkey.stop()
    embedded_valkey.start()
    assert await cache.client.get("kept") == "yes"
