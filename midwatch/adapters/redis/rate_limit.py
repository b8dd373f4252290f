"""A token bucket per client, shared by all replicas through Redis; each replica counts alone while Redis is away."""

import logging
from datetime import datetime

from midwatch.adapters.redis.cache import AWAY, RedisCache

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
_MOST_KEYS = 10_000
_LOOK_AGAIN_S = 1.0


class RateLimiter:
    """``allow`` answers whether one more request of this client fits in its rate."""

    def __init__(self, cache: RedisCache) -> None:
        self._take = cache.client.register_script(_TAKE)
        self._local: dict[str, tuple[float, float]] = {}
        self._away_until = float("-inf")

    async def allow(self, key: str, per_minute: int, now: datetime) -> bool:
        """Take one token of ``key``. Never raises for Redis' sake."""
        at = now.timestamp()
        if at >= self._away_until:
            try:
                return bool(await self._take(keys=[f"midwatch:rate:{key}"], args=[per_minute, at]))
            except AWAY as error:
                # Counted here until it is back; asked for again after a moment, so that requests do not queue for it.
                self._away_until = at + _LOOK_AGAIN_S
                log.warning("Redis is away, this replica limits rates alone", extra={"error": type(error).__name__})
        return self._allow_alone(key, per_minute, at)

    def _allow_alone(self, key: str, per_minute: int, at: float) -> bool:
        tokens, since = self._local.pop(key, (float(per_minute), at))
        tokens = min(per_minute, tokens + max(0.0, at - since) * per_minute / 60)
        allowed = tokens >= 1
        if len(self._local) >= _MOST_KEYS:
            del self._local[next(iter(self._local))]  # the one that asked longest ago
        self._local[key] = (tokens - allowed, max(at, since))
        return allowed
