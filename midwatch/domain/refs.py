"""Names of things in a cluster, and how bad it is."""

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad it is, in rising order; compare by :attr:`rank`."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


def worst(*severities: Severity) -> Severity:
    """The highest of the given severities (at least one)."""
    return max(severities, key=lambda severity: severity.rank)


class ObjectRef(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """One object of a cluster: its kind, its name, and where it stands.

    ``namespace`` is empty for cluster-wide kinds, ``uid`` where it is not known (alerts name objects, not uids).
    """

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def path(self) -> str:
        """``Kind/namespace/name`` (or ``Kind/name``): equal for the same object whether or not its uid is known."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)
