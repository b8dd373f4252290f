"""A token bucket per client, shared by all replicas through Redis; each replica counts alone while Redis is away."""

import logging
from datetime import datetime

from midwatch.adapters.redis.cache import AWAY, RedisCache
from midwatch.services.limiting import Limiter

log = logging.getLogger(__name__)

# The bucket holds as many tokens as the minute allows and fills evenly. Time is the caller's; a replica whose clock is
# behind adds nothing, and takes nothing away.
_TAKE = """
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local size, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local tokens, at = tonumber(bucket[1]) or size, tonumber(bucket[2]) or now
tokens = math.min(size, tokens + math.max(0, now - at) * size / 60)
local allowed = tokens >= 1
if allowed then tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(math.max(at, now)))
redis.call('EXPIRE', KEYS[1], 120)
return allowed and 1 or 0
"""
_LOOK_AGAIN_S = 1.0


class SharedRateLimiter:
    """Counts in Redis. ``alone`` is asked instead while Redis is away; never raises for Redis' sake."""

    def __init__(self, cache: RedisCache, alone: Limiter) -> None:
        self._take = cache.client.register_script(_TAKE)
        self._alone = alone
        self._away_until = float("-inf")

    async def allow(self, key: str, per_minute: int, now: datetime) -> bool:
        """Take one token of ``key``."""
        at = now.timestamp()
        if at >= self._away_until:
            try:
                return bool(await self._take(keys=[f"midwatch:rate:{key}"], args=[per_minute, at]))
            except AWAY as error:
                # Asked again after a moment, so that not every request waits for what is not there.
                self._away_until = at + _LOOK_AGAIN_S
                log.warning("Redis is away, this replica limits rates alone", extra={"error": type(error).__name__})
        return await self._alone.allow(key, per_minute, now)
