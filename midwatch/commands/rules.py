"""``midwatch rules``: check the rule files, and explain which rule takes a signal."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from midwatch.adapters.catalog.log_patterns import load_log_patterns
from midwatch.adapters.catalog.rules import ExampleSignal, example_signal, load_rules
from midwatch.domain.errors import Invalid
from midwatch.domain.logs import check_examples
from midwatch.settings import load_settings

app = typer.Typer(help="Check the rule files, and explain which rule takes a signal.", no_args_is_help=True)
out = Console()
err = Console(stderr=True)


@app.command()
def check(folder: Annotated[Path | None, typer.Argument(help="Folder of rule files.")] = None) -> None:
    """Read every rule strictly and run the examples it carries. Exit code 1 names every fault with file and line."""
    folder = folder or load_settings().rules_dir
    try:
        rules = load_rules(folder)
        patterns = load_log_patterns(folder / "logs") if (folder / "logs").is_dir() else ()
    except Invalid as error:
        err.print(escape(str(error)), style="red", highlight=False)
        raise typer.Exit(1) from error
    if faults := check_examples(patterns):
        err.print(escape("\n".join(faults)), style="red", highlight=False)
        raise typer.Exit(1)
    found = f"{len(rules.rules)} rules and {len(patterns)} log patterns"
    out.print(f"{found} in {folder}: every example holds.", highlight=False)


@app.command()
def explain(
    signal: Annotated[
        Path, typer.Argument(help='JSON like {"condition": "OOMKilled", "kind": "Pod", "namespace": "shop"}.')
    ],
) -> None:
    """Say which rule takes a signal and why each other one does not."""
    try:
        parsed = msgspec.json.decode(signal.read_bytes(), type=ExampleSignal)
        rules = load_rules(load_settings().rules_dir)
    except (OSError, msgspec.DecodeError, Invalid) as error:
        err.print(escape(f"{signal}: {error}"), style="red", highlight=False)
        raise typer.Exit(2) from error
    full = example_signal(parsed)
    taken = rules.match(full).rule
    for rule, objection in rules.explain(full):
        mark = "[green]takes it[/]" if rule is taken else escape(objection) if objection else "would match, comes later"
        out.print(f"{rule.id:<24} {mark}", highlight=False)
    if taken is None:
        out.print("No rule takes it: it is recorded, and opens no incident.")
        raise typer.Exit(1)
