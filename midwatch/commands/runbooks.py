"""``midwatch runbooks``: check the folder of runbooks, and find those for a condition."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from midwatch.adapters.catalog.runbooks import load_runbooks
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import Invalid
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident
from midwatch.domain.runbooks import fitting
from midwatch.settings import load_settings

app = typer.Typer(help="Check the runbooks, and find those for a condition.", no_args_is_help=True)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@app.command()
def check(folder: Annotated[Path | None, typer.Argument(help="Default: MIDWATCH_RUNBOOKS_DIR.")] = None) -> None:
    """Read every runbook strictly. Exit code 1 names every fault with file and line."""
    try:
        folder = folder or load_settings().runbooks_dir
        count = len(load_runbooks(folder))
    except Invalid as error:
        err.print(escape(str(error)), style="red")
        raise typer.Exit(1) from error
    out.print(f"{count} runbooks in {escape(str(folder))}: all are sound.")


@app.command()
def find(
    condition: Annotated[str, typer.Argument(help="A condition, such as OOMKilled; or '' with --cause.")] = "",
    cause: Annotated[str, typer.Option(help="A root cause in words, for the patterns.")] = "",
    folder: Annotated[Path | None, typer.Option(help="Default: MIDWATCH_RUNBOOKS_DIR.")] = None,
) -> None:
    """Show which runbooks a condition or a cause would bring, best first. Exit code 1: none."""
    if condition and condition not in CATALOGUE:
        err.print(escape(f"unknown condition {condition!r}; docs/conditions.md lists them"), style="red")
        raise typer.Exit(2)
    try:
        pages = load_runbooks(folder or load_settings().runbooks_dir)
    except Invalid as error:
        err.print(escape(str(error)), style="red")
        raise typer.Exit(2) from error
    incident = Incident(id=IncidentId("none"), condition=condition)
    found = fitting(pages, incident, Diagnosis(root_cause=cause, summary="", confidence=0, condition=condition))
    for page, why in found:
        out.print(f"[bold]{escape(page.id):<28}[/] {escape(page.title)}  [dim]{escape(why)}[/]")
    if not found:
        out.print("None fits.")
        raise typer.Exit(1)
