"""``midwatch silence``: keep quiet about something for a while."""

from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from midwatch.adapters.catalog.rules import duration, load_rules
from midwatch.adapters.system import SystemClock
from midwatch.commands import client
from midwatch.commands.client import REFUSED, USAGE, Output, complain, decoded, open_api, show_raw
from midwatch.domain.errors import Invalid
from midwatch.domain.ids import short
from midwatch.domain.matching import Matcher
from midwatch.domain.silences import Silence, Window
from midwatch.settings import load_settings

app = typer.Typer(help="Keep quiet about something for a while.", no_args_is_help=True)

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

Many = list[str]


class _Shown(Silence, frozen=True, kw_only=True):
    active: bool = False


class _List(msgspec.Struct, frozen=True):
    silences: tuple[_Shown, ...]


@app.command()
def add(
    lasts: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d12h.")] = "",
    until: Annotated[str, typer.Option(help="Or until when: 2026-12-01T06:00:00+01:00.")] = "",
    namespace: Annotated[Many | None, typer.Option("--namespace", "-n", help="A namespace; it may end in *.")] = None,
    condition: Annotated[Many | None, typer.Option("--condition", "-c", help="A condition or an alert's name.")] = None,
    kind: Annotated[Many | None, typer.Option(help="A kind of object: Pod, Node.")] = None,
    label: Annotated[Many | None, typer.Option("--label", "-l", help="NAME=VALUE, or NAME=~REGEX.")] = None,
    source: Annotated[Many | None, typer.Option(help="watch, alertmanager, grafana, kafka or post.")] = None,
    cluster: Annotated[Many | None, typer.Option(help="A cluster.")] = None,
    comment: Annotated[str, typer.Option("--comment", "-m", help="Why, for those who wonder.")] = "",
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json or yaml.")] = None,
) -> None:
    """Silence what matches: it is recorded, opens no incident, and is looked at again when the silence ends.

    Incidents that are open stay open. Exit codes: 0 done, 1 refused, 2 wrong usage, 3 Midwatch cannot be reached.
    """
    match = {
        "namespaces": namespace or [],
        "conditions": condition or [],
        "kinds": kind or [],
        "sources": source or [],
        "clusters": cluster or [],
        "labels": dict(_pair(text) for text in label or []),
    }
    if not any(match.values()):
        complain("say what to silence: --namespace, --condition, --kind, --label, --source or --cluster", USAGE)
    ends_at = _end(lasts, until)
    with open_api() as api:
        body = api.send("POST", "/api/silences", {"match": match, "ends_at": ends_at.isoformat(), "comment": comment})
    if output:
        show_raw(body, output)
        return
    made = decoded(body, _Shown)
    client.console().print(f"Silence {short(made.id)} holds for {client.left(made.ends_at)}.")


@app.command("list")
def list_(
    active: Annotated[bool, typer.Option("--active", help="Only those that hold now.")] = False,
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json, yaml or wide.")] = None,
) -> None:
    """List silences, and the maintenance windows of the rule files on this machine."""
    with open_api() as api:
        params: dict[str, str | int | bool] = {"active": active, "limit": 1000}
        if output in (Output.JSON, Output.YAML):
            show_raw(api.raw("/api/silences", **params), output)
            return
        silences = api.get("/api/silences", _List, **params).silences
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ID", "HOLDS", "WHAT", "BY", "COMMENT"):
        table.add_column(name, no_wrap=name in ("ID", "HOLDS"))
    now = SystemClock().now()
    for each in silences:
        row = (short(each.id), _holds(each, now), in_words(each.match), each.by, each.comment)
        table.add_row(*(Text(cell) for cell in row))
    for window in _windows():
        if until := window.until(now):
            holds = f"for {client.left(until)}"
        elif active:
            continue
        else:
            holds = _when(window)
        table.add_row(*(Text(cell) for cell in (window.id, holds, in_words(window.match), "rules", window.comment)))
    out = client.console()
    out.print(table if table.row_count else "Nothing is silenced.")


@app.command()
def end(silence: Annotated[str, typer.Argument(metavar="ID", help="The beginning of its id will do.")]) -> None:
    """End a silence now. What still fires opens its incident within a minute."""
    with open_api() as api:
        ended = decoded(api.send("DELETE", f"/api/silences/{quote(silence, safe='')}"), _Shown)
    client.console().print(f"Silence {short(ended.id)} is over.")


def in_words(match: Matcher) -> str:
    """What a matcher asks for, in one line."""
    lists = (
        ("namespace", match.namespaces),
        ("condition", match.conditions),
        ("family", match.families),
        ("kind", match.kinds),
        ("source", match.sources),
        ("cluster", match.clusters),
    )
    parts = [f"{name} {' or '.join(values)}" for name, values in lists if values]
    parts += [f"{name}{value if value.startswith('~') else '=' + value}" for name, value in match.labels.items()]
    return ", ".join(parts)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        complain(f"{text!r} is no label: write NAME=VALUE or NAME=~REGULAR EXPRESSION", USAGE)
    return name, value


def _end(lasts: str, until: str) -> datetime:
    if bool(lasts) == bool(until):
        complain("say either --for or --until", USAGE)
    try:
        if lasts:
            span = duration(lasts)
            if span <= timedelta(0):
                complain("--for: a silence of no time is none", USAGE)
            return SystemClock().now() + span
        when = datetime.fromisoformat(until)
    except ValueError as error:
        complain(str(error), USAGE)
    if when.tzinfo is None:
        complain(f"{until!r} names no time zone: write 2026-12-01T06:00:00+01:00", USAGE)
    return when


def _holds(silence: _Shown, now: datetime) -> str:
    if silence.active:
        return f"for {client.left(silence.ends_at)}"
    return "over" if silence.ends_at <= now else f"in {client.left(silence.starts_at)}"


def _when(window: Window) -> str:
    days = "*" if len(window.days) == len(_DAYS) else ",".join(_DAYS[day] for day in window.days)
    return f"{days} {window.begins:%H:%M}-{window.ends:%H:%M} {window.zone}"


def _windows() -> tuple[Window, ...]:
    try:
        return load_rules(load_settings().rules_dir).windows
    except Invalid as error:
        complain(str(error), REFUSED)
