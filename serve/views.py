"""What the console's pages show, made from incidents. Pure: no HTML here, no clock, no store."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from textwrap import shorten

import msgspec

from midwatch.domain.cards import Card, card_of
from midwatch.domain.events import Entry
from midwatch.domain.incidents import Incident, State
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.runs import Phase
from midwatch.services.ports import IncidentSummary
from serve.dependencies import Subsystem
from serve.timeline import Moment, moment_of

STATE_WORDS = {
    State.OPEN: "Just opened",
    State.INVESTIGATING: "Looking for the cause",
    State.PROPOSED: "Deciding what to do",
    State.AWAITING_APPROVAL: "Waiting for your word",
    State.ACTING: "Fixing it",
    State.VERIFYING: "Checking that it helped",
    State.RESOLVED: "Resolved",
    State.ESCALATED: "A person must take over",
    State.CLOSED: "Closed",
}
_NEEDS_PERSON = (State.AWAITING_APPROVAL, State.ESCALATED)
_STAGES = ("Detection", "Diagnosis", "Plan", "Approval", "Fix", "Check", "Resolved")


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One incident on the board."""

    id: str
    state: State
    words: str
    severity: Severity
    title: str
    cause: str
    owner: ObjectRef
    cluster: str
    began_at: datetime
    ended_at: datetime | None
    signals: int
    needs_person: bool
    expires_at: datetime | None = None


class Part(msgspec.Struct, frozen=True):
    """One subsystem's health on the board."""

    name: str
    ok: bool
    detail: str


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The whole front page. Equal boards look the same: then there is nothing to send."""

    headline: str
    subline: str
    tone: str
    open: tuple[Tile, ...]
    more: int
    past: tuple[Tile, ...]
    parts: tuple[Part, ...]
    pauses: tuple[str, ...] = ()


class Stage(msgspec.Struct, frozen=True):
    """One step of an incident's way: ``status`` is ``done``, ``now``, ``bad`` or ``todo``."""

    name: str
    status: str


class DiffLine(msgspec.Struct, frozen=True):
    """``kind`` is ``add``, ``del``, ``hunk`` or ``same``."""

    kind: str
    text: str


class IncidentPage(msgspec.Struct, frozen=True, kw_only=True):
    """One incident's page; templates read the incident and its card as they are."""

    incident: Incident
    card: Card
    words: str
    tone: str
    stages: tuple[Stage, ...]
    diff: tuple[DiffLine, ...]


class Happening(msgspec.Struct, frozen=True):
    """What stands in one place of a timeline: one moment, or many looks in a row, newest first."""

    moments: tuple[Moment, ...]

    @property
    def first(self) -> Moment:
        return self.moments[0]


def happenings(entries: Iterable[Entry]) -> tuple[Happening, ...]:
    """Entries for a timeline, newest first; looks that went well and follow each other are told together."""
    told = [moment_of(entry) for entry in entries][::-1]
    runs = ((look, tuple(run)) for look, run in groupby(told, key=_is_look))
    return tuple(
        happening
        for look, run in runs
        for happening in ([Happening(run)] if look else [Happening((moment,)) for moment in run])
    )


def _is_look(moment: Moment) -> bool:
    return moment.type == "tool-called" and moment.tone == "work"


def headline(text: str, longest: int = 200) -> str:
    """The beginning of a text, cut between words, for where there is room for a line or two."""
    return shorten(text, longest, placeholder=" …")


def tile_of(row: IncidentSummary, incident: Incident | None) -> Tile:
    """An incident as a tile; ``incident`` is given for open ones, whose cause is worth a look."""
    report = incident.report if incident else None
    approval = incident.approval if incident else None
    asking = approval is not None and approval.outcome is None
    return Tile(
        id=row.id,
        state=row.state,
        words=STATE_WORDS[row.state],
        severity=row.severity,
        title=row.title,
        cause=report.root_cause if report else "",
        owner=row.owner,
        cluster=row.cluster,
        began_at=(incident.began_at if incident else None) or row.opened_at,
        ended_at=row.ended_at,
        signals=row.active,
        needs_person=row.state in _NEEDS_PERSON,
        expires_at=approval.expires_at if approval and asking else None,
    )


def urgency(row: IncidentSummary) -> tuple[bool, str]:
    """What is asked of a person stands before everything else, then what is newest (ids sort by time)."""
    return row.state is State.AWAITING_APPROVAL, row.id


def board_of(
    opened: tuple[Tile, ...], past: tuple[Tile, ...], parts: tuple[Subsystem, ...], *, shown: int = 40
) -> Board:
    """The front page: all open incidents count, the first ``shown`` are shown."""
    ailing = tuple(part.name for part in parts if not part.ok)
    text, subline, tone = _headline(opened, ailing)
    return Board(
        headline=text,
        subline=subline,
        tone=tone,
        open=opened[:shown],
        more=max(0, len(opened) - shown),
        past=past,
        parts=tuple(Part(part.name, part.ok, part.detail[:200]) for part in parts),
    )


def _headline(opened: tuple[Tile, ...], ailing: tuple[str, ...]) -> tuple[str, str, str]:
    waiting = sum(tile.state is State.AWAITING_APPROVAL for tile in opened)
    escalated = sum(tile.state is State.ESCALATED for tile in opened)
    if waiting:
        rest = _rest(escalated, len(opened) - waiting - escalated)
        return f"{_count(waiting, 'fix waits', 'fixes wait')} for your word", rest, "ask"
    if escalated:
        text = f"{_count(escalated, 'incident needs', 'incidents need')} a person"
        return text, _rest(0, len(opened) - escalated), "bad"
    if opened:
        text = f"{_count(len(opened), 'incident', 'incidents')} — Midwatch is on it"
        return text, "Nothing is asked of you yet.", "work"
    if ailing:
        return "No incidents, but part of the watch is down", f"Not well: {', '.join(ailing)}.", "ask"
    return "All quiet", "Nothing that Midwatch watches is in trouble.", "good"


def _rest(escalated: int, working: int) -> str:
    parts = [f"{_count(escalated, 'more needs', 'more need')} a person."] if escalated else []
    parts += [f"Midwatch is on {_count(working, 'other', 'others')}."] if working else []
    return " ".join(parts) or "Nothing else is wrong."


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def page_of(incident: Incident) -> IncidentPage:
    """Everything one incident's page shows, but its timeline."""
    card = card_of(incident)
    return IncidentPage(
        incident=incident,
        card=card,
        words=STATE_WORDS[incident.state],
        tone=_tone(incident.state),
        stages=stages_of(incident),
        diff=diff_lines(card.diff),
    )


def _tone(state: State) -> str:
    if state in (State.RESOLVED, State.CLOSED):
        return "good"
    return {State.AWAITING_APPROVAL: "ask", State.ESCALATED: "bad"}.get(state, "work")


def stages_of(incident: Incident) -> tuple[Stage, ...]:
    """How far the incident came on the straight way, and where it left it."""
    reached = _reached(incident)
    if incident.state is State.RESOLVED:
        done = incident.execution is not None
        # Trouble that ended by itself skipped the fix: those stages stay empty rather than claimed.
        return tuple(
            Stage(name, "done" if done or place <= reached or name == _STAGES[-1] else "todo")
            for place, name in enumerate(_STAGES)
        )
    stopped = incident.state in (State.ESCALATED, State.CLOSED)
    here = "bad" if stopped else "now"
    return tuple(
        Stage(name, "done" if place <= reached else here if place == reached + 1 else "todo")
        for place, name in enumerate(_STAGES)
    )


def _reached(incident: Incident) -> int:
    """The last stage that is behind the incident."""
    execution = incident.execution
    if execution is not None:
        phases = {step.phase for step in execution.steps}
        if phases and phases <= {Phase.VERIFIED}:
            return 4 if incident.plan and len(execution.steps) < len(incident.plan.steps) else 5
        return 4 if phases & {Phase.ACTED, Phase.VERIFIED} else 3
    if incident.plan is not None:
        return 2
    return 1 if incident.report is not None else 0


def diff_lines(diff: str) -> tuple[DiffLine, ...]:
    """A unified diff, line by line; the file header is left out."""
    lines: list[DiffLine] = []
    for text in diff.splitlines():
        if text.startswith(("--- ", "+++ ")):
            continue
        kind = {"+": "add", "-": "del", "@": "hunk"}.get(text[:1], "same")
        lines.append(DiffLine(kind, text))
    return tuple(lines)
