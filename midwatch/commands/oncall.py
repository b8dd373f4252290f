"""``midwatch oncall``: who has the watch, and who hears of what."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from midwatch.adapters.catalog.people import load_people
from midwatch.adapters.system import SystemClock
from midwatch.commands import client
from midwatch.commands.client import REFUSED, USAGE, complain
from midwatch.domain.errors import MidwatchError
from midwatch.domain.rota import watch
from midwatch.settings import load_settings


def oncall(
    at: Annotated[str, typer.Option(help="At another time: 2026-12-24T20:00:00+01:00.")] = "",
) -> None:
    """Say who is on call, by the file of people on this machine.

    Exit codes: 0 told, 1 the file is bad, 2 wrong usage.
    """
    try:
        now = datetime.fromisoformat(at) if at else SystemClock().now()
        if now.tzinfo is None:
            complain("--at needs a time zone: 2026-12-24T20:00:00+01:00", USAGE)
    except ValueError:
        complain(f"{at!r} is no time: write 2026-12-24T20:00:00+01:00", USAGE)
    try:
        settings = load_settings()
        people = load_people(settings.people_file)
    except MidwatchError as error:
        complain(str(error), REFUSED)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ROTA", "ON CALL", "UNTIL"):
        table.add_column(column)
    for rota, who, until in watch(people, now):
        shown = f"{until.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC" if until else ""
        table.add_row(*(Text(cell) for cell in (rota, who or "nobody yet", shown)))
    client.console().print(table if table.row_count else f"No rota is written down in {settings.people_file}.")
