"""What this machine gives: real time, real ids. Everything else receives them as values passed in."""

import asyncio
import secrets
import time
import uuid
from datetime import UTC, datetime

_TYPEABLE = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # 32 characters, none of which looks like another


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


class SystemSecrets:
    """See :class:`midwatch.services.users.Secrets`: from the operating system."""

    def token(self) -> str:
        return secrets.token_urlsafe(32)

    def code(self) -> str:
        return "".join(secrets.choice(_TYPEABLE) for _ in range(8))
