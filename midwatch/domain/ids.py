"""Identifiers: distinct types, so that no function takes one for another."""

from typing import Final, NewType

IncidentId = NewType("IncidentId", str)
SignalId = NewType("SignalId", str)
ApprovalId = NewType("ApprovalId", str)
ClickId = NewType("ClickId", str)
ExecutionId = NewType("ExecutionId", str)
"""All ids are UUIDv7 text made by :class:`midwatch.services.runtime.Ids`: sortable by creation time."""

PlanDigest = NewType("PlanDigest", str)
"""SHA-256 hex of the canonical form of a plan: see :func:`midwatch.domain.playbooks.plan_digest`."""

IncidentKey = NewType("IncidentKey", str)
"""What makes two signals one incident: cluster, top owner and failure class."""

_SHORT: Final = 18


def short(identifier: str) -> str:
    """Enough of an id to be written by hand: down to the millisecond, and twelve bits of chance within it."""
    return identifier[:_SHORT]
