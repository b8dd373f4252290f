"""Numbers and lines around an incident: what is asked of a metrics store, filled in safely, and told in a sentence."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from midwatch.domain.incidents import Incident
from midwatch.domain.metrics import Series

BEFORE, AFTER = timedelta(minutes=5), timedelta(minutes=1)
"""The window around the beginning of an incident."""

PLACEHOLDERS = frozenset({"namespace", "pods", "node"})
UNITS = frozenset({"bytes", "cores", "ratio", "count", "seconds"})
_MOST_PODS, _MOST_SERIES = 20, 8
_PLACE = re.compile(r"\$(\w+)")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One query of the catalogue. ``families`` are the condition families it is for; none: all that have its subject.

    ``expr`` holds ``$namespace``, ``$pods`` (for ``=~``) and ``$node`` within quoted label values. A value at or above
    ``cite_above`` is evidence for the report of one of its families.
    """

    id: str
    title: str
    expr: str
    unit: str = "count"
    families: tuple[str, ...] = ()
    cite_above: float | None = None

    @property
    def needs(self) -> frozenset[str]:
        """The placeholders in it."""
        return frozenset(_PLACE.findall(self.expr))


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What an incident is about, as label values: ``pods`` is a pattern, already escaped where it names objects."""

    start: datetime
    end: datetime
    namespace: str = ""
    pods: str = ""
    node: str = ""

    @property
    def has(self) -> frozenset[str]:
        """The placeholders that can be filled."""
        values = {"namespace": self.namespace, "pods": self.pods, "node": self.node}
        return frozenset(name for name, value in values.items() if value)


def scope_of(incident: Incident, now: datetime) -> Scope:
    """The window and the subject: its pods by name, else those that its workload makes; its node where it is one."""
    began = min(incident.began_at or incident.opened_at or now, now)
    refs = [incident.subject, *(member.subject for member in incident.members)]
    pods = sorted({ref.name for ref in refs if ref.kind == "Pod" and ref.name})[:_MOST_PODS]
    owner = incident.owner
    pattern = "|".join(_literal(name) for name in pods)
    if not pods and owner.namespace and owner.kind in ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet"):
        pattern = f"{_literal(owner.name)}-.+"
    related = [ref for member in incident.members for ref in member.related]
    nodes = [ref.name for ref in (*refs, owner, *related) if ref.kind == "Node"]
    return Scope(
        start=began - BEFORE,
        end=min(began + AFTER, now),
        namespace=incident.subject.namespace or owner.namespace,
        pods=pattern,
        node=nodes[0] if nodes else "",
    )


def questions_for(questions: Iterable[Question], families: Sequence[str], scope: Scope) -> tuple[Question, ...]:
    """Those that the incident's families call for and that can be filled."""
    wanted = set(families)
    return tuple(
        question
        for question in questions
        if question.needs <= scope.has and (not question.families or wanted & set(question.families))
    )


def filled(expr: str, scope: Scope) -> str:
    """``expr`` with label values in place: escaped, so that no name of an object can end its quotes."""
    values = {"namespace": scope.namespace, "pods": scope.pods, "node": scope.node}
    return _PLACE.sub(lambda found: quoted(values[found[1]]), expr)


def quoted(value: str) -> str:
    """A label value as it stands between double quotes in PromQL and LogQL."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "")


def _literal(name: str) -> str:
    """A name within an RE2 pattern that matches it and nothing else."""
    return re.sub(r"([^A-Za-z0-9_-])", r"\\\1", name)


def told(question: Question, series: Sequence[Series]) -> str:
    """One line a series: how it began, its highest and last value."""
    lines = [f"{question.title}: {_name(one)} {_course(one, question.unit)}" for one in series[:_MOST_SERIES]]
    more = len(series) - _MOST_SERIES
    lines += [f"and {more} more series"] if more > 0 else []
    return "\n".join(lines) or f"{question.title}: no data"


def claim(question: Question, series: Sequence[Series]) -> str:
    """The highest value as a sentence fit to be cited, where it reaches what makes it telling; else empty."""
    if question.cite_above is None:
        return ""
    peaks = [(point.value, point.at, one) for one in series for point in one.points if math.isfinite(point.value)]
    if not peaks:
        return ""
    value, at, one = max(peaks, key=lambda peak: (peak[0], peak[1]))
    if value < question.cite_above:
        return ""
    return f"{question.title}: {_shown(value, question.unit)} at {at:%H:%M:%S} UTC in {_name(one)}"


def _name(series: Series) -> str:
    labels = series.labels
    parts = [labels[name] for name in ("pod", "container", "node", "condition") if labels.get(name)]
    return "/".join(parts)[:120] or "total"


def _course(series: Series, unit: str) -> str:
    values = [point.value for point in series.points if math.isfinite(point.value)]
    if not values:
        return "no numbers"
    first, peak, last = (_shown(value, unit) for value in (values[0], max(values), values[-1]))
    return f"{first} throughout" if first == peak == last else f"{first}, at most {peak}, {last} at the end"


def _shown(value: float, unit: str) -> str:
    if unit == "ratio":
        return f"{value * 100:.0f} %"
    if unit == "bytes":
        for word, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
            if abs(value) >= size:
                return f"{value / size:.1f} {word}"
        return f"{value:.0f} B"
    return f"{value:.3g}" + {"cores": " cores", "seconds": " s"}.get(unit, "")
