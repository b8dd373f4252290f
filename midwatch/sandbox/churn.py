"""Status changes at a given rate, for benchmarks: bytes are patched in place, controllers are not troubled."""

from __future__ import annotations

import asyncio

from midwatch.sandbox.cluster.assembly import Cluster
from midwatch.sandbox.objects import micro_stamp
from midwatch.sandbox.schema import PODS
from midwatch.sandbox.store import Record

_SLICE = 0.02
"""Seconds between two batches."""

_PROBED = b'"lastProbeTime":"'


class Churn:
    """Touches one ready pod after the other: a new resource version, and for seeded pods the time of the change (with
    microseconds, so that a watcher can tell how late it is) as ``lastProbeTime`` of the Ready condition.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._keys: list[Record] = []
        self._place = 0
        self._wake = asyncio.Event()
        self.rate = 0.0
        self.done = 0

    def set_rate(self, rate: float) -> None:
        """Changes a second from now on."""
        self.rate = rate
        self._keys = [
            record for record in self._cluster.store.scan(PODS) if record.pod is not None and record.pod.ready
        ]
        self._wake.set()

    async def run(self) -> None:
        """Never returns."""
        loop = asyncio.get_running_loop()
        owed, last = 0.0, loop.time()
        while True:
            if not self.rate or not self._keys:
                self._wake.clear()
                await self._wake.wait()
                last = loop.time()
            await asyncio.sleep(_SLICE)
            now = loop.time()
            owed = min(owed + (now - last) * self.rate, self.rate)
            last = now
            for _ in range(int(owed)):
                self.touch_next()
            owed -= int(owed)

    def touch_next(self) -> None:
        """Change the next pod in turn."""
        store = self._cluster.store
        if not self._keys:
            return
        self._place = (self._place + 1) % len(self._keys)
        record = store.get(self._keys[self._place].key)
        if record is None:
            return
        version = store.version + 1
        old = b'"resourceVersion":"%d"' % record.version
        raw = record.raw.replace(old, b'"resourceVersion":"%d"' % version, 1)
        if (place := raw.find(_PROBED)) >= 0:
            place += len(_PROBED)
            moment = micro_stamp(self._cluster.clock.now()).encode()
            raw = b"%b%b%b" % (raw[:place], moment, raw[place + len(moment) :])
        store.touch(record, raw, version)
        self.done += 1
