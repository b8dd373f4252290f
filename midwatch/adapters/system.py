"""What this machine gives: real time, real ids. Everything else receives them as values passed in."""

import asyncio
import secrets
import time
import uuid
from datetime import UTC, datetime


class SystemClock:
    """Wall time in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SystemIds:
    """UUIDv7 as in RFC 9562: 48 bits of milliseconds, then random bits; text form sorts by time."""

    def new(self) -> str:
        value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
        value = value & ~(0xF << 76) | (0x7 << 76)
        value = value & ~(0x3 << 62) | (0x2 << 62)
        return str(uuid.UUID(int=value))
