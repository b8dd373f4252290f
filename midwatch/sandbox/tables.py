"""The columns kubectl prints: lists as ``meta.k8s.io/v1 Table``."""

from __future__ import annotations

from collections.abc import Iterable

from midwatch.sandbox.cells import PLAIN, TABLES
from midwatch.sandbox.objects import Obj
from midwatch.sandbox.schema import Resource


def table(
    resource: Resource, objects: Iterable[Obj], now: float, *, metadata: Obj, whole: bool, head: bool = True
) -> Obj:
    """A Table. ``whole`` puts the full object beside each row, else its metadata; ``head`` adds the columns."""
    columns, row = TABLES.get(resource.kind, PLAIN)
    rows = []
    for obj in objects:
        beside = (
            obj
            if whole
            else {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
        )
        rows.append({"cells": row(obj, now), "object": beside})
    definitions = [
        {
            "name": name.lstrip("+"),
            "type": "integer" if name in _INTEGERS else "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": 1 if name.startswith("+") else 0,
        }
        for name in columns
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions if head else None,
        "rows": rows,
    }


_INTEGERS = {
    "Up-To-Date",
    "Available",
    "Desired",
    "Current",
    "Data",
    "MinPods",
    "MaxPods",
    "Replicas",
    "Allowed Disruptions",
}
