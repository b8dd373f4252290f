"""One process's way to Redis, for short commands."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as TimedOut

from midwatch.domain.errors import Transient

AWAY = (Disconnected, TimedOut, OSError)
"""What redis-py raises while Redis cannot be reached."""


class RedisCache:
    """Building it does no I/O. Blocking reads do not belong here: redis-py repeats them after its timeout."""

    def __init__(self, url: str, *, timeout_s: float = 2.0) -> None:
        """``url``: ``redis://…``, ``rediss://…`` or ``unix://…``; ``timeout_s`` for connecting and for each answer."""
        self.client = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            health_check_interval=30,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 1),
        )

    async def health(self) -> None:
        """Return when Redis answers, raise ``Transient`` when it does not."""
        try:
            await self.client.ping()
        except AWAY as error:
            raise Transient(f"Redis cannot be reached: {type(error).__name__}") from error

    async def close(self) -> None:
        await self.client.aclose()
