"""What one log told."""

from datetime import datetime

import msgspec

from midwatch.domain.diagnosis import Finding
from midwatch.domain.refs import Severity


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One failure found in a log: the finding, and what is needed to weigh it against others.

    ``weight`` grows with nearness to the root cause, ``line`` is the first line that shows it, ``count`` how many;
    ``recovered`` says that the log later told of success.
    """

    finding: Finding
    explanation: str
    weight: int
    line: int
    count: int
    recovered: bool = False
    checks: tuple[str, ...] = ()
    remedy: str = ""


class LogReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found in one log, the likeliest cause first.

    ``rare`` are numbers of severe lines whose kind is rare while other severe lines repeat: often the ones that matter.
    """

    name: str
    lines: int
    hits: tuple[Hit, ...] = ()
    rare: tuple[int, ...] = ()
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(hit.finding for hit in self.hits)

    @property
    def severity(self) -> Severity | None:
        """The highest severity found, or none in a quiet log."""
        return max((hit.finding.severity for hit in self.hits), key=lambda level: level.rank, default=None)
