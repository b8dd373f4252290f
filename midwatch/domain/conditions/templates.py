"""The pod templates of a namespace, whoever holds them."""

from midwatch.domain.objects.pods import Template
from midwatch.domain.objects.view import ClusterView
from midwatch.domain.objects.workloads import DaemonSet, Deployment, Job, ReplicaSet, StatefulSet


def templates(view: ClusterView, namespace: str) -> list[Template]:
    """Every template that pods of a namespace may be made from."""
    return [
        *(item.spec.template for item in view.each(Deployment, namespace)),
        *(item.spec.template for item in view.each(StatefulSet, namespace)),
        *(item.spec.template for item in view.each(DaemonSet, namespace)),
        *(item.spec.template for item in view.each(ReplicaSet, namespace)),
        *(item.spec.template for item in view.each(Job, namespace)),
    ]
