"""How soon an actor works again after its process was killed, by the log it writes itself."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

_EVERY_S, _GIVE_UP_S = 0.1, 120.0
_TAIL = 200_000

KINDS = {
    "Watcher": "watcher-sandbox",
    "RuleEngine": "rule-engine",
    "RcaPool": "rca-pool",
    "RcaWorker": "rca-worker-1",
    "PlaybookExecutor": "playbook-executor",
    "ApprovalBroker": "approval-broker",
    "ChannelGateway": "channel-gateway-console",
    "Supervisor": "supervisor",
}
"""The name of the log of the actor of a class."""


async def back(logs: Path, kind: str, dead: int, since: datetime) -> float:
    """Seconds from ``since`` until a process other than ``dead`` had done its first turn: claims, store and cluster are
    open by then. Raises ``AssertionError`` after two minutes.
    """
    while (datetime.now(UTC) - since).total_seconds() < _GIVE_UP_S:
        for at, pid in starts(logs, kind):
            if at >= since and pid != dead:
                return round((at - since).total_seconds(), 2)
        await asyncio.sleep(_EVERY_S)
    raise AssertionError(f"{kind} was not back within {_GIVE_UP_S:.0f} s")


def starts(logs: Path, kind: str) -> Iterator[tuple[datetime, int]]:
    """When the processes of an actor had done their first turn, and their pids."""
    path = logs / f"{KINDS[kind]}.jsonl"
    with path.open("rb") as lines:
        lines.seek(max(0, path.stat().st_size - _TAIL))
        for line in lines:
            if b'"at work"' in line:
                told = json.loads(line)
                yield datetime.fromisoformat(told["timestamp"]), told["pid"]
