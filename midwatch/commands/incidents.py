"""``midwatch incidents`` and ``midwatch signals``: what happened, and what is happening."""

import time
from contextlib import nullcontext, suppress
from itertools import groupby
from pathlib import Path
from textwrap import shorten
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from midwatch.commands import client
from midwatch.commands.client import Api, Moment, Output, open_api, show_raw
from midwatch.domain.cards import touches
from midwatch.domain.ids import short
from midwatch.domain.incidents import Incident
from midwatch.domain.playbooks import Plan
from midwatch.services.ports import IncidentSummary, SignalRow

_EVERY_S = 2.0
_LAST = 15


class _List(msgspec.Struct, frozen=True):
    incidents: tuple[IncidentSummary, ...]


class _Timeline(msgspec.Struct, frozen=True):
    entries: tuple[Moment, ...]


class _Signals(msgspec.Struct, frozen=True):
    signals: tuple[SignalRow, ...]


def incidents(
    incident: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One incident; the beginning of its id will do.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show what changes.")] = False,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only incidents of this namespace.")] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only incidents that are not over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest change first.")] = 30,
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json, yaml or wide.")] = None,
) -> None:
    """List incidents, or show one with its cause, its plan and its timeline.

    Exit codes: 0 done, 1 refused or not found, 2 wrong usage, 3 Midwatch cannot be reached.
    """
    with open_api() as api:
        if incident is None:
            params: dict[str, str | int | bool] = {"namespace": namespace, "open": open_only, "limit": limit}
            _list(api, params, output, watch=watch)
        elif watch:
            _follow(api, incident)
        else:
            _show(api, incident, output)


def postmortem(
    incident: Annotated[str, typer.Argument(metavar="ID", help="The incident; the beginning of its id will do.")],
    to: Annotated[Path | None, typer.Option("--to", help="Write it into this file, which must not exist yet.")] = None,
) -> None:
    """Draft a post-mortem from an incident's journal, as Markdown with a link for every claim.

    What only people know is left as questions. Exit codes: 0 done, 1 refused or not found, 2 wrong usage, 3 Midwatch
    cannot be reached.
    """
    with open_api() as api:
        text = api.raw(f"/api/incidents/{quote(incident)}/postmortem").decode()
    if to is None:
        typer.echo(text, nl=False)
        return
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise typer.BadParameter(f"{to}: {error.strerror}; name another file") from error
    typer.echo(f"Written to {to}")


def _list(api: Api, params: dict[str, str | int | bool], output: Output | None, *, watch: bool) -> None:
    out = client.console()
    if output in (Output.JSON, Output.YAML):
        show_raw(api.raw("/api/incidents", **params), output)
        return
    wide = output is Output.WIDE
    if not watch:
        out.print(_table(api.get("/api/incidents", _List, **params).incidents, wide=wide))
        return
    with suppress(KeyboardInterrupt):
        _watch(api, out, params, wide=wide)


def _watch(api: Api, out: Console, params: dict[str, str | int | bool], *, wide: bool) -> None:
    """Redraw the list on a terminal; print it whenever it changed elsewhere."""
    rows = api.get("/api/incidents", _List, **params).incidents
    shown: tuple[tuple[str, int], ...] | None = None
    with Live(console=out, auto_refresh=False, screen=True) if out.is_terminal else nullcontext() as live:
        while True:
            found = api.poll("/api/incidents", _List, **params)
            rows = found.incidents if found else rows
            state = tuple((row.id, row.seq) for row in rows)
            if live is not None:
                away = Text("Midwatch does not answer; this is what was last known.", "yellow")
                live.update(_table(rows, wide=wide) if found else Group(_table(rows, wide=wide), away), refresh=True)
            elif state != shown:
                out.print(_table(rows, wide=wide))
            shown = state
            time.sleep(_EVERY_S)


def _table(rows: tuple[IncidentSummary, ...], *, wide: bool) -> RenderableType:
    if not rows:
        return Text("No incidents. All quiet.", "green")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ID", "SEVERITY", "STATE", "INCIDENT", "OBJECT", "AGE"):
        table.add_column(name, no_wrap=name in ("ID", "SEVERITY", "STATE", "AGE"))
    for name in ("CLUSTER", "CONDITION", "SIGNALS", "UPDATED", "REASON") if wide else ():
        table.add_column(name, no_wrap=True)
    for row in rows:
        more = (row.cluster, row.condition, f"{row.active}/{row.members}", client.age(row.updated_at), str(row.reason))
        table.add_row(
            short(row.id),
            client.severity_text(row.severity),
            client.state_text(row.state),
            Text(row.title),
            Text(str(row.owner)),
            client.age(row.opened_at),
            *(Text(text) for text in more if wide),
        )
    return table


def _show(api: Api, incident_id: str, output: Output | None) -> None:
    path = f"/api/incidents/{quote(incident_id)}"
    if output in (Output.JSON, Output.YAML):
        show_raw(api.raw(path), output)
        return
    incident = api.get(path, Incident)
    moments = api.get(f"{path}/timeline", _Timeline, follow=False).entries
    decisive = tuple(moment for moment in moments if not _is_look(moment))
    out = client.console()
    out.print(_heading(incident))
    if incident.report:
        out.print(_cause(incident))
    if incident.plan:
        out.print(Panel(plan_text(incident.plan), title="Plan", title_align="left", border_style="dim"))
    first = decisive[-_LAST].seq if len(decisive) >= _LAST and output is not Output.WIDE else 0
    shown = tuple(moment for moment in moments if moment.seq >= first)
    if len(shown) < len(moments):
        out.print(Text(f"… {len(moments) - len(shown)} earlier entries; -o wide shows them all", "dim"))
    for look, run in groupby(shown, key=_is_look):
        told = list(run)
        if look and len(told) > 1 and output is not Output.WIDE:
            many = f"Looked at {len(told)} things; -o wide names them"
            tell(out, msgspec.structs.replace(told[0], title=many, detail=""))
            continue
        for moment in told:
            tell(out, moment)
    if incident.approval and incident.approval.outcome is None and not incident.state.final:
        out.print(
            Text(f"\nWaiting for your word ({client.left(incident.approval.expires_at)} left): ", "yellow"),
            Text(f"midwatch approve {short(incident.id)}   midwatch reject {short(incident.id)} --reason …"),
        )


def _heading(incident: Incident) -> RenderableType:
    first = Text.assemble(
        client.severity_text(incident.severity), "  ", client.state_text(incident.state), "  ", (incident.title, "bold")
    )
    facts = [str(incident.owner), incident.cluster, incident.condition, f"{len(incident.active)} signals firing"]
    if incident.opened_at:
        facts.append(f"opened {client.age(incident.opened_at)} ago")
    lines = [first, Text("  ".join(facts), "dim"), Text(incident.id, "dim")]
    return Group(*lines, Text(incident.outcome)) if incident.outcome else Group(*lines)


def _cause(incident: Incident) -> RenderableType:
    assert incident.report is not None
    report = incident.report
    text = Text.assemble((report.root_cause, "bold"), (f"  ({report.confidence:.0%} sure, {report.author})\n", "dim"))
    text.append(report.summary)
    for item in report.evidence:
        where = f"{item.source}{f':{item.line}' if item.line else ''}{f' {item.path}' if item.path else ''}"
        text.append(f"\n• {where}: ", "dim").append(item.text)
    for check in report.next_checks:
        text.append("\n? ", "yellow").append(check)
    return Panel(text, title="Cause", title_align="left", border_style="dim")


def plan_text(plan: Plan) -> Text:
    """A plan for people: what will change, what it touches, how it is taken back."""
    text = Text.assemble((plan.title, "bold"), f"  {plan.risk} risk")
    for step in plan.steps:
        text.append(f"\n• {step.summary or step.action} ").append(str(step.target.ref), "cyan")
        for line in step.diff.splitlines():
            if not line.startswith(("--- ", "+++ ")):
                text.append(f"\n    {line}", {"+": "green", "-": "red", "@": "dim"}.get(line[:1], ""))
    blast = plan.blast
    owned = [f"owned by {blast.gitops_owner}"] if blast.gitops_owner else []
    text.append("\nTouches: ", "dim").append("; ".join((*touches(blast), *owned, *blast.notes)) or "nothing else")
    text.append("\nUndo: ", "dim").append(plan.undo_summary or "nothing to take back")
    for warning in plan.warnings:
        text.append(f"\nMind: {warning}", "yellow")
    return text


def _is_look(moment: Moment) -> bool:
    return moment.type == "tool-called" and moment.tone == "work"


def tell(out: Console, moment: Moment) -> None:
    """One line of a timeline, and its detail."""
    line = Text.assemble(
        (f"{moment.at.astimezone():%H:%M:%S}  ", "dim"),
        (shorten(moment.title, 200, placeholder=" …"), client.TONES.get(moment.tone, "default")),
    )
    why = " · ".join(part for part in (moment.detail, f"because {moment.why}" if moment.why else "") if part)
    out.print(line.append(f"  {why}", "dim") if why else line, soft_wrap=True)


def _follow(api: Api, incident_id: str) -> None:
    incident = api.get(f"/api/incidents/{quote(incident_id)}", Incident)
    out = client.console()
    out.print(_heading(incident))
    try:
        looking = False
        for moment in api.moments(incident.id):
            if not _is_look(moment):
                tell(out, moment)
            elif not looking:
                tell(out, msgspec.structs.replace(moment, title="Looking at objects, events and logs", detail=""))
            looking = _is_look(moment)
    except KeyboardInterrupt:
        return


def signals(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 30,
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json, yaml or wide.")] = None,
) -> None:
    """List the signals that came in, from watches and alerts, and what became of each."""
    with open_api() as api:
        if output in (Output.JSON, Output.YAML):
            show_raw(api.raw("/api/signals", limit=limit), output)
            return
        rows = api.get("/api/signals", _Signals, limit=limit).signals
    out = client.console()
    if not rows:
        out.print("No signals yet.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ("AGE", "STATUS", "SEVERITY", "SOURCE", "CONDITION", "OBJECT", "OUTCOME", "INCIDENT")
    for name in (*names, "CLUSTER", "TITLE") if output is Output.WIDE else names:
        table.add_column(name, no_wrap=name not in ("OBJECT", "TITLE"))
    for row in rows:
        signal = row.signal
        cells: list[str | Text] = [
            client.age(signal.received_at),
            str(signal.status),
            client.severity_text(signal.severity),
            signal.source,
        ]
        cells += [signal.condition, str(signal.subject), row.outcome or "waiting", short(row.incident or "")]
        cells += [signal.cluster, signal.title] if output is Output.WIDE else []
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
    out.print(table)
