"""When nothing is wrong with what is shown: the one tight spot that is worth a look."""

from collections.abc import Iterator

from midwatch.domain.conditions.catalogue import CATALOGUE
from midwatch.domain.conditions.look import shown
from midwatch.domain.diagnosis import Finding
from midwatch.domain.objects.cluster import Node
from midwatch.domain.objects.quantities import quantity
from midwatch.domain.objects.view import ClusterView

TIGHT = 32
"""Pod places below which a node is easily filled; the usual number is 110."""


def hints(view: ClusterView) -> Iterator[Finding]:
    """A node shown without its pods that has only few places for pods: they may all be taken, and nothing else would
    show it.
    """
    if view.count("Pod") or view.count() != view.count("Node"):
        return
    for node in view.each(Node):
        room = quantity(node.status.allocatable.get("pods") or node.status.capacity.get("pods"))
        if room is not None and 0 < room < TIGHT and node.status.conditions:
            entry = CATALOGUE["NodeAtPodCapacity"]
            yield Finding(
                condition=entry.id,
                family=entry.family,
                severity=entry.severity,
                subject=node.ref,
                title=f"Node {node.name}: it has room for {int(room)} pods only",
                summary=(
                    f"Its conditions are well, but its capacity is {int(room)} pods: it may be full while CPU and "
                    "memory are free. Its pods are not among the objects shown: count them."
                ),
                evidence=(shown(node, "status.allocatable.pods", int(room)),),
            )
