"""``midwatch audit``: who did what, when and why; and whether anybody changed the record since."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from midwatch.adapters.catalog.rules import duration
from midwatch.adapters.system import SystemClock
from midwatch.commands import client
from midwatch.commands.client import REFUSED, USAGE, Api, complain, open_api
from midwatch.domain.audit import AuditRow, Broken, verify
from midwatch.domain.ids import short

app = typer.Typer(help="Who did what, when and why.", invoke_without_command=True)

_PAGE = 1000
_Since = Annotated[str, typer.Option("--since", help="How far back: 2h, 7d, or 2026-12-01T06:00:00+01:00.")]


class _Rows(msgspec.Struct, frozen=True):
    rows: tuple[AuditRow, ...]


@app.callback()
def show(context: typer.Context, since: _Since = "1d") -> None:
    """Show what was decided and done, the latest last. Exit codes: 0 shown, 2 wrong usage, 3 Midwatch is away."""
    if context.invoked_subcommand is not None:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("#", "WHEN", "WHO", "WHAT", "WHY", "ABOUT"):
        table.add_column(name, no_wrap=name != "WHY")
    with open_api() as api:
        for row in _rows(api, _instant(since)):
            told = row.record
            when = f"{told.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
            cells = (str(row.number), when, told.who, told.what, told.why, short(told.about))
            table.add_row(*(Text(client.printable(cell)) for cell in cells))
    client.console().print(table if table.row_count else "Nothing was decided or done in that time.")


@app.command()
def export(since: _Since = "") -> None:
    """Print the rows as JSON lines, with everything the journal says of each and their hashes."""
    with open_api() as api:
        for row in _rows(api, _instant(since) if since else None):
            typer.echo(msgspec.json.encode(row))


@app.command("verify")
def verify_(
    head: Annotated[str, typer.Option(help="NUMBER:HASH as an earlier verify printed it: must still be there.")] = "",
) -> None:
    """Check on this machine that no row was changed, taken out or put in; name the first that was.

    Rows cut off at the end leave a whole trail behind. Note the head that is printed, and ask for it next time with
    --head. Exit codes: 0 whole, 1 broken, 3 Midwatch cannot be reached.
    """
    number, _, wanted = head.partition(":")
    if head and not (number.isdigit() and wanted):
        complain("--head: write NUMBER:HASH", USAGE)
    found: dict[int, str] = {}

    def noted(rows: Iterator[AuditRow]) -> Iterator[AuditRow]:
        for row in rows:
            if head and row.number == int(number):
                found[row.number] = row.hash
            yield row

    with open_api() as api:
        last = verify(noted(_rows(api, None)))
    if isinstance(last, Broken):
        complain(f"the audit trail is broken: row {last.number} {last.fault}", REFUSED)
    if head and found.get(int(number)) != wanted:
        complain(f"the audit trail is broken: row {number} is not the one that was noted", REFUSED)
    said = "is empty" if last is None else f"is whole: {last.number} rows, head {last.number}:{last.hash}"
    client.console().print(f"The audit trail {said}", soft_wrap=True)


def _rows(api: Api, since: datetime | None) -> Iterator[AuditRow]:
    """All rows, a page at a time, exactly as they are stored: a hash is over what was written."""
    after = 0
    params: dict[str, str | int | bool] = {"limit": _PAGE}
    if since is not None:
        params["since"] = since.isoformat()
    while True:
        page = msgspec.json.decode(api.raw("/api/audit", after=after, **params), type=_Rows).rows
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].number


def _instant(text: str) -> datetime:
    try:
        return SystemClock().now() - duration(text)
    except OverflowError:
        complain(f"--since: {text} is longer ago than there is a calendar", USAGE)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        complain(f"--since: {text!r} is neither a time that passed (2h, 7d) nor an instant", USAGE)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
