"""How one object stands now, by the detectors that the watch uses, asked of the API server itself."""

import logging
from datetime import UTC
from urllib.parse import quote

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.adapters.kubernetes.source import resources
from midwatch.domain.conditions import detect_object
from midwatch.domain.errors import MidwatchError, NotFound
from midwatch.domain.lost import Standing
from midwatch.domain.objects import ClusterView, parse_object
from midwatch.domain.refs import ObjectRef
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)

_PATHS = {each.kind: each.path for each in resources() if each.kind not in ("Event", "EndpointSlice", "Secret")}
_ALONE = frozenset(
    {
        *("Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
        *("PersistentVolumeClaim", "PersistentVolume", "Node"),
    }
)
"""Kinds whose trouble shows in the object alone."""


class KubernetesSight:
    """See :class:`midwatch.services.lost.LooksAtObjects`, for one cluster."""

    def __init__(self, connection: ApiConnection, cluster: str, clock: Clock) -> None:
        self._connection, self._cluster, self._clock = connection, cluster, clock

    async def standing_of(self, cluster: str, ref: ObjectRef) -> Standing:
        """Well only where the detectors find nothing in an object whose kind shows its own trouble."""
        path = _path(ref)
        if cluster != self._cluster or not path:
            return Standing.UNSEEN
        try:
            body = await self._connection.get(path, timeout_s=5)
            item = parse_object(body, ref.kind)
        except NotFound:
            return Standing.GONE
        except MidwatchError as error:
            log.info("object cannot be looked at", extra={"subject": str(ref), "error": str(error)})
            return Standing.UNSEEN
        if item is None or ref.kind not in _ALONE:
            return Standing.UNSEEN
        view = ClusterView()
        view.put(item)
        found = detect_object(view, item, self._clock.now().astimezone(UTC)).findings
        return Standing.TROUBLED if found else Standing.WELL


def _path(ref: ObjectRef) -> str:
    """Names come from labels that anybody may write: each is one segment of the path, whatever it holds."""
    base = _PATHS.get(ref.kind, "")
    if not base or not ref.name:
        return ""
    if not ref.namespace:
        return f"{base}/{quote(ref.name, safe='')}"
    group, _, plural = base.rpartition("/")
    return f"{group}/namespaces/{quote(ref.namespace, safe='')}/{plural}/{quote(ref.name, safe='')}"
