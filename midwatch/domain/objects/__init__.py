"""Kubernetes objects as Midwatch sees them: only the fields a verdict needs, all of them optional.

May know: the shape of the Kubernetes API, quantities, selectors, certificates. Must not know: what is good or bad (that
is :mod:`midwatch.domain.conditions`) or how objects are fetched. Parsing never raises over what a cluster says.
"""

from midwatch.domain.objects.parse import KINDS, Object, parse_object, parse_snapshot
from midwatch.domain.objects.view import ClusterView

__all__ = ["KINDS", "ClusterView", "Object", "parse_object", "parse_snapshot"]
