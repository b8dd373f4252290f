"""Sessions of chats in Redis, each ending a while after its last message."""

import logging

import msgspec

from midwatch.adapters.redis.cache import AWAY, RedisCache
from midwatch.services.conversations import Session

log = logging.getLogger(__name__)

_session = msgspec.json.Decoder(Session)


class RedisSessions:
    """See :class:`midwatch.services.conversations.Sessions`. While Redis is away nobody has a session."""

    def __init__(self, cache: RedisCache, *, ttl_s: float) -> None:
        self._redis, self._ttl_ms = cache.client, int(ttl_s * 1000)

    async def get(self, key: str) -> Session | None:
        try:
            found = await self._redis.get(_name(key))
            return _session.decode(found) if found else None
        except AWAY as error:
            _noted(error)
            return None
        except msgspec.DecodeError:  # written by another version: nothing that could not be done without
            return None

    async def put(self, key: str, session: Session) -> None:
        try:
            await self._redis.set(_name(key), msgspec.json.encode(session), px=self._ttl_ms)
        except AWAY as error:
            _noted(error)

    async def drop(self, key: str) -> None:
        try:
            await self._redis.delete(_name(key))
        except AWAY as error:
            _noted(error)


def _name(key: str) -> str:
    return f"midwatch:session:{key}"


def _noted(error: Exception) -> None:
    log.warning("Redis is away, the chat goes on without a session", extra={"error": type(error).__name__})
