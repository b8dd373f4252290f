"""``midwatch status``: is the watch itself well, and does anything wait for a person."""

from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from midwatch.commands import client
from midwatch.commands.client import REFUSED, Output, Question, decoded, open_api, show_raw
from midwatch.domain.ids import short
from midwatch.services.ports import IncidentSummary


class _Part(msgspec.Struct, frozen=True):
    ok: bool
    detail: str = ""
    required: bool = False


class _Health(msgspec.Struct, frozen=True):
    status: str
    subsystems: dict[str, _Part]


class _Open(msgspec.Struct, frozen=True):
    incidents: tuple[IncidentSummary, ...]


class _Asked(msgspec.Struct, frozen=True):
    approvals: tuple[Question, ...]


def status(
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json or yaml: the health document.")] = None,
) -> None:
    """Say whether every part of Midwatch is well, what is open, and what waits for you.

    Exit codes: 0 it runs (degraded parts are named), 1 a required part is down, 3 Midwatch cannot be reached.
    """
    with open_api() as api:
        body = api.health()
        health = decoded(body, _Health)
        down = health.status == "down"
        if output in (Output.JSON, Output.YAML):
            show_raw(body, output)
        else:
            _show_health(health)
            if not down:
                opened = api.get("/api/incidents", _Open, open=True, limit=1000).incidents
                _show_open(opened, api.get("/api/approvals", _Asked).approvals)
    if down:
        raise typer.Exit(REFUSED)


def _show_health(health: _Health) -> None:
    out = client.console()
    colour = {"ok": "green", "degraded": "yellow"}.get(health.status, "red")
    out.print(Text.assemble("Midwatch is ", (health.status, f"bold {colour}")))
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, part in health.subsystems.items():
        table.add_row(
            Text("✓" if part.ok else "✗", "green" if part.ok else "red"), Text(name), Text(part.detail, "dim")
        )
    out.print(table)


def _show_open(opened: tuple[IncidentSummary, ...], asked: tuple[Question, ...]) -> None:
    out = client.console()
    if not opened:
        out.print(Text("No open incidents. All quiet.", "green"))
    else:
        noun = "incident" if len(opened) == 1 else "incidents"
        out.print(Text(f"{len(opened)} open {noun}: midwatch incidents --open", "bold"))
    for question in asked:
        wait = client.left(question.expires_at)
        out.print(
            Text.assemble(
                (f"Waits for you ({wait} left): ", "yellow"),
                question.incident.title,
                (f"   midwatch approve {short(question.incident.id)}", "dim"),
            ),
            soft_wrap=True,
        )
