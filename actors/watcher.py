"""Watcher: watches one cluster's API server and reports what breaks and what recovers."""

import asyncio

from actors.clients import ActorBells
from actors.lifecycle import Resident
from midwatch.bootstrap import Resources
from midwatch.bootstrap.detection import open_watch
from midwatch.services.watching import Watching
from midwatch.settings import Settings
from midwatch.telemetry import Family


class Watcher(Resident):
    """One per cluster. What it has seen is a cache: after a restart it lists again and compares."""

    def __init__(self, settings: Settings, name: str, cluster: str) -> None:
        self._cluster = cluster
        self._watching: Watching | None = None
        self._counted = (0, 0)
        super().__init__(settings, name)

    async def health(self) -> dict[str, object]:
        """Besides the usual: whether the cluster is listed, how much is seen, and which right is missing."""
        own = await super().health()
        if self._watching is None:
            return own | {"watching": False}
        seen = self._watching.health()
        missing = "; ".join(seen.missing_rights)
        detail = f"{seen.objects} objects, {seen.active} troubled" + (f"; {missing}" if missing else "")
        return own | {"ok": bool(own["ok"]) and seen.ready, "watching": seen.ready, "detail": detail}

    async def metrics(self) -> tuple[Family, ...]:
        if self._watching is not None:
            seen = self._watching.health()
            changes, looks = self._counted
            self._metrics.watch_events.labels(self._cluster).inc(seen.changes - changes)
            self._metrics.watch_loops.labels(self._cluster).inc(seen.looks - looks)
            self._counted = (seen.changes, seen.looks)
        return await super().metrics()

    async def run(self, resources: Resources) -> None:
        async with open_watch(resources, self._cluster, ActorBells(self._settings.active_channels)) as watching:
            self._watching, self._counted = watching, (0, 0)
            listed = asyncio.create_task(self._listed(watching))
            try:
                await watching.run()
            finally:
                listed.cancel()
                self._watching = None

    async def _listed(self, watching: Watching) -> None:
        await watching.listed.wait()
        self.turned()
