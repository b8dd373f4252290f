"""A pattern of failure as the catalogue gives it."""

from typing import Annotated

import msgspec

from midwatch.domain.refs import Severity

Regexes = tuple[Annotated[str, msgspec.Meta(min_length=1)], ...]


class Examples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Proof of a pattern. Each text is a log of one or more lines, in which the pattern must, or must not, be found."""

    match: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    no_match: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class LogPattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of failure as software prints it.

    A line matches when one regex of ``any`` and all of ``all`` are found in it and none of ``not`` (case is ignored,
    and each regex of ``any`` must hold at least three literal characters: they are what is searched for first). The
    pattern is found when at least ``at_least`` lines match and every text of ``also`` (plain, lower case) stands
    somewhere in the log.

    ``cause`` (0 to 100) says how near to the root such a failure usually lies: a full disk (90) causes the timeouts
    (50) that cause the failing probes (20). ``transient`` failures are often overcome by a retry: they weigh less when
    the log says later that it went on. ``numbers``: lines that differ in digits only are different (a status, a
    duration). ``any_level``: it counts in full even on a line of level INFO.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    family: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
    severity: Severity
    cause: Annotated[int, msgspec.Meta(ge=0, le=100)]
    title: Annotated[str, msgspec.Meta(min_length=3, max_length=120)]
    summary: Annotated[str, msgspec.Meta(min_length=20)]
    any: Annotated[Regexes, msgspec.Meta(min_length=1)]
    examples: Examples
    all: Regexes = ()
    not_: Regexes = msgspec.field(default=(), name="not")
    also: Regexes = ()
    at_least: Annotated[int, msgspec.Meta(ge=1)] = 1
    transient: bool = False
    numbers: bool = False
    any_level: bool = False
    checks: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def condition(self) -> str:
        """The id of the condition that a finding carries."""
        return f"log/{self.id}"


class PatternFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One YAML file of patterns."""

    patterns: tuple[LogPattern, ...]
