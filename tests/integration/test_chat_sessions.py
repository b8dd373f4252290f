"""Chat sessions in a real Redis: they end by themselves, and their absence stops nobody."""

from collections.abc import AsyncIterator

import pytest

from midwatch.adapters.embedded.valkey import EmbeddedValkey
from midwatch.adapters.redis.cache import RedisCache
from midwatch.adapters.redis.sessions import RedisSessions
from midwatch.services.conversations import Session
from tests.fakes.runtime import NOON

SESSION = Session(channel="slack", conversation="c-1", since=NOON, pending="describe cart", model="big-1")


@pytest.fixture
async def cache(embedded_valkey: EmbeddedValkey) -> AsyncIterator[RedisCache]:
    embedded_valkey.start()
    cache = RedisCache(embedded_valkey.url, timeout_s=1.0)
    await cache.client.flushall()
    yield cache
    await cache.close()


async def test_a_session_is_kept_and_dropped(cache: RedisCache) -> None:
    sessions = RedisSessions(cache, ttl_s=330)
    assert await sessions.get("slack:C1/:user:alice") is None
    await sessions.put("slack:C1/:user:alice", SESSION)
    assert await sessions.get("slack:C1/:user:alice") == SESSION
    assert await sessions.get("slack:C1/:user:bob") is None
    (name,) = await cache.client.keys("midwatch:session:*")
    assert 300_000 < await cache.client.pttl(name) <= 330_000
    await sessions.drop("slack:C1/:user:alice")
    assert await sessions.get("slack:C1/:user:alice") is None


async def test_each_message_lets_its_time_begin_anew(cache: RedisCache) -> None:
    sessions = RedisSessions(cache, ttl_s=330)
    await sessions.put("a", SESSION)
    await cache.client.pexpire("midwatch:session:a", 1000)
    await sessions.put("a", SESSION)
    assert await cache.client.pttl("midwatch:session:a") > 300_000


async def test_what_another_version_wrote_is_no_session(cache: RedisCache) -> None:
    await cache.client.set("midwatch:session:a", "{not json")
    assert await RedisSessions(cache, ttl_s=330).get("a") is None


async def test_without_redis_nobody_has_a_session_and_nothing_fails(tmp_path: object) -> None:
    cache = RedisCache(f"unix://{tmp_path}/nowhere.sock", timeout_s=0.2)
    sessions = RedisSessions(cache, ttl_s=330)
    await sessions.put("a", SESSION)
    assert await sessions.get("a") is None
    await sessions.drop("a")
    await cache.close()
