"""What stops actions at large: pauses that a person calls, and what was done and failed lately."""

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

import msgspec

LONGEST_WINDOW: Final = timedelta(days=30)
"""No policy counts deeds further back."""


SHADOWS_KEPT: Final = 1000
"""Shadows of each playbook that are kept however old: its streak is counted from them."""


class Pause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's word that nothing is changed for now. ``ends_at`` is ``None`` until it is lifted.

    It holds from the moment it is written down, and once lifted for good, whatever the clock does; ``starts_at`` is for
    people. ``namespaces`` are shell patterns; ``*`` covers cluster-wide objects too.
    """

    id: str
    starts_at: datetime
    by: str
    namespaces: tuple[str, ...] = ("*",)
    ends_at: datetime | None = None
    reason: str = ""
    lifted: bool = False

    @property
    def everywhere(self) -> bool:
        return "*" in self.namespaces

    def holds(self, now: datetime) -> bool:
        """Whether it is in force at this instant."""
        return not self.lifted and (self.ends_at is None or now < self.ends_at)

    def covers(self, namespace: str) -> bool:
        """Whether objects of this namespace (``""``: cluster-wide ones) are not to be changed."""
        return any(fnmatchcase(namespace, pattern) for pattern in self.namespaces)

    @property
    def sentence(self) -> str:
        """What it means, for people."""
        where = "All actions are" if self.everywhere else f"Actions in {', '.join(self.namespaces)} are"
        until = f" until {self.ends_at:%Y-%m-%d %H:%M} UTC" if self.ends_at else ""
        return f"{where} paused by {self.by}{until}{f': {self.reason}' if self.reason else ''}."


class Deed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution that was let begin. ``ended_at`` is ``None`` while it runs; ``failed``: it did not help."""

    key: str
    at: datetime
    ended_at: datetime | None = None
    failed: bool = False
