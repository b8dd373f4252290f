"""What this machine gives: real time, real ids. Everything else receives them as values passed in."""

import asyncio
import secrets
import time
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
        # Written by hand: an alert costs one, and uuid.UUID takes five times as long.
        drawn = secrets.token_hex(10)
        variant = "89ab"[int(drawn[3], 16) & 3]
        stamp = f"{time.time_ns() // 1_000_000:012x}"
        return f"{stamp[:8]}-{stamp[8:]}-7{drawn[:3]}-{variant}{drawn[4:7]}-{drawn[8:]}"


class SystemSecrets:
    """See :class:`midwatch.services.users.Secrets`: from the operating system."""

    def token(self) -> str:
        return secrets.token_urlsafe(32)

    def code(self) -> str:
        return "".join(secrets.choice(_TYPEABLE) for _ in range(8))
