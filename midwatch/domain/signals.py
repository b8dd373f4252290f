"""Signals: one observation each, firing or resolved, from a watch or an alert."""

from datetime import datetime
from enum import StrEnum

import msgspec

from midwatch.domain.ids import IncidentKey, SignalId
from midwatch.domain.refs import ObjectRef, Severity

_LONGEST_ID, _LONGEST_URL = 100, 500


class SignalStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class Tier(StrEnum):
    """Who may act, in falling order of authority; labels on an alert may only move it down."""

    AUTONOMOUS = "autonomous"
    SUPERVISED = "supervised"
    HUMAN_ONLY = "human_only"


class Signal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One observation, parsed at the edge.

    ``source`` is ``watch``, ``alertmanager``, ``grafana``, ``kafka`` or ``post``; ``condition`` is an id of the
    catalogue, or the alert's own name where none is mapped. ``owner`` is the top owner of ``subject`` as far as the
    source knew it, ``related`` what else the subject stands on and could fail by (its node, its claims), and
    ``failure_class`` what the catalogue groups by (``workload``, ``node``, ``volume``, …). Times
    are aware. ``starts_at`` is the source's word for when the episode began and equal at every repeat.
    """

    id: SignalId
    source: str
    cluster: str
    status: SignalStatus
    condition: str
    severity: Severity
    subject: ObjectRef
    owner: ObjectRef
    title: str
    starts_at: datetime
    received_at: datetime
    failure_class: str = "workload"
    summary: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    ends_at: datetime | None = None
    fingerprint: str = ""
    related: tuple[ObjectRef, ...] = ()

    @property
    def identity(self) -> str:
        """What is observed, whenever: source, cluster, condition and object (or the sender's own fingerprint)."""
        return "|".join((self.source, self.cluster, self.condition, self.fingerprint or self.subject.path))

    @property
    def episode(self) -> str:
        """One stretch of trouble: the identity and when it began."""
        return f"{self.identity}@{self.starts_at.isoformat()}"

    @property
    def delivery(self) -> str:
        """The idempotency key: the same firing or resolving told twice counts once."""
        return f"{self.episode}#{self.status}"

    @property
    def runbook_id(self) -> str:
        """The runbook that the sender asks for by the name it has in the folder."""
        return self.labels.get("runbook_id", "")[:_LONGEST_ID]

    @property
    def runbook_url(self) -> str:
        """Where the sender says that a runbook stands; not believed, only looked up where that is allowed."""
        url = self.annotations.get("runbook_url", "")
        return url if len(url) <= _LONGEST_URL else ""

    @property
    def incident_key(self) -> IncidentKey:
        """What makes two signals one incident: cluster, top owner, failure class."""
        return IncidentKey("|".join((self.cluster, self.failure_class, self.owner.path)))
