"""``midwatch rules``: check the rule files, and explain which rule takes a signal."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from midwatch.adapters.catalog.enrichment import load_questions
from midwatch.adapters.catalog.log_patterns import load_log_patterns
from midwatch.adapters.catalog.rules import ExampleSignal, example_signal, load_rules
from midwatch.adapters.catalog.yaml_source import yaml_files
from midwatch.adapters.system import SystemClock
from midwatch.commands.client import Output, open_api, show_raw
from midwatch.domain.backtest import Backtest, Ruling
from midwatch.domain.backtest import backtest as compare
from midwatch.domain.errors import Invalid
from midwatch.domain.grouping import group_of
from midwatch.domain.logs import check_examples
from midwatch.domain.rules import RuleSet, severity_under
from midwatch.domain.signals import Signal
from midwatch.domain.silences import hush
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
        for path in yaml_files(folder / "enrichment") if (folder / "enrichment").is_dir() else ():
            load_questions(path)
    except Invalid as error:
        err.print(escape(str(error)), style="red", highlight=False)
        raise typer.Exit(1) from error
    if faults := check_examples(patterns):
        err.print(escape("\n".join(faults)), style="red", highlight=False)
        raise typer.Exit(1)
    found = f"{len(rules.rules)} rules and {len(patterns)} log patterns"
    out.print(f"{found} in {folder}: every example holds.", highlight=False)


class _Row(msgspec.Struct, frozen=True):
    signal: Signal


class _Rows(msgspec.Struct, frozen=True):
    signals: tuple[_Row, ...]


class _Told(msgspec.Struct, frozen=True):
    """One rule's word on a signal: ``why`` it does not match, empty where it does."""

    id: str
    takes: bool
    why: str
    where: str


class _Explained(msgspec.Struct, frozen=True, kw_only=True):
    rule: str | None
    opens: bool
    severity: str
    group: str
    silenced_by: str
    rules: tuple[_Told, ...]


@app.command()
def explain(
    signal: Annotated[
        Path,
        typer.Argument(
            metavar="SIGNAL.json",
            help='A signal as /api/signals shows it, or in short: {"condition": "OOMKilled"}. - reads stdin.',
        ),
    ],
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json or yaml.")] = None,
) -> None:
    """Say which rule takes a signal and why each other one does not.

    Exit codes: 0 a rule takes it, 1 none does, 2 the signal or the rules cannot be read.
    """
    try:
        full = read_signal(sys.stdin.buffer.read() if str(signal) == "-" else signal.read_bytes())
        rules = load_rules(load_settings().rules_dir)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, Invalid) as error:
        err.print(escape(f"{signal}: {error}"), style="red", highlight=False)
        raise typer.Exit(2) from error
    told = _explained(full, rules)
    if output in (Output.JSON, Output.YAML):
        show_raw(msgspec.json.encode(told), output)
    else:
        _print(told)
    if told.rule is None:
        raise typer.Exit(1)


@app.command()
def backtest(
    folder: Annotated[Path, typer.Argument(help="Folder of the rule files to try.")],
    signals: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Signals as `midwatch signals -o json` prints them. - reads stdin."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Without FILE: ask Midwatch for so many.")] = 1000,
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json or yaml.")] = None,
) -> None:
    """Try other rules on signals that came in, and show what they would have ruled differently. Changes nothing.

    Compared is which rule takes a signal, its severity, who may act, the playbook and maintenance windows; thresholds
    and waiting times are not played through. Exit codes: 0 nothing differs, 1 something does, 2 the rules or the
    signals cannot be read, 3 Midwatch cannot be reached.
    """
    try:
        before, after = load_rules(load_settings().rules_dir), load_rules(folder)
        given = None if signals is None else sys.stdin.buffer.read() if str(signals) == "-" else signals.read_bytes()
        rows = None if given is None else msgspec.json.decode(given, type=_Rows).signals
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, Invalid) as error:
        err.print(escape(str(error)), style="red", highlight=False)
        raise typer.Exit(2) from error
    if rows is None:
        with open_api() as api:
            rows = api.get("/api/signals", _Rows, limit=limit).signals
    found = compare(before, after, (row.signal for row in rows))
    if output in (Output.JSON, Output.YAML):
        show_raw(msgspec.json.encode(found), output)
    else:
        _print_backtest(found)
    if found.changes:
        raise typer.Exit(1)


def _print_backtest(found: Backtest) -> None:
    if not found.signals:
        out.print("No firing signals to try the rules on.")
        return
    if found.changes:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("SIGNALS", justify="right")
        for name in ("CONDITION", "NOW", "WITH THESE RULES", "FOR EXAMPLE"):
            table.add_column(name)
        for each in found.changes:
            table.add_row(
                str(each.count), escape(each.condition), _ruled(each.before), _ruled(each.after), escape(each.example)
            )
        out.print(table)
    groups = f"{found.groups_before} groups of signals open incidents now, {found.groups_after} with these rules."
    out.print(f"{found.same} of {found.signals} firing signals are ruled the same. {groups}", highlight=False)


def _ruled(ruling: Ruling) -> str:
    if not ruling.rule:
        return "no rule"
    how = "silenced by " + ruling.silenced if ruling.silenced else "" if ruling.opens else "opens nothing"
    parts = (ruling.rule, how or str(ruling.severity), str(ruling.tier), ruling.playbook)
    return escape(", ".join(part for part in parts if part))


def read_signal(body: bytes) -> Signal:
    """A signal in any form at hand: a list of rows or one row of the API, a signal, or one in short."""
    keys = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if "signals" in keys:
        rows = msgspec.json.decode(body, type=_Rows).signals
        if not rows:
            raise Invalid("no signal in it")
        return rows[0].signal
    if "signal" in keys:
        return msgspec.json.decode(body, type=_Row).signal
    if "starts_at" in keys:
        return msgspec.json.decode(body, type=Signal)
    return example_signal(msgspec.json.decode(body, type=ExampleSignal))


def _explained(signal: Signal, rules: RuleSet) -> _Explained:
    taken = rules.match(signal).rule
    silence = hush(signal, rules.windows, SystemClock().now())
    return _Explained(
        rule=taken.id if taken else None,
        opens=taken is not None and not taken.drop,
        severity=str(severity_under(taken, signal) if taken else signal.severity),
        group=group_of(signal, taken) if taken else "",
        silenced_by=silence.id if silence else "",
        rules=tuple(_Told(rule.id, rule is taken, why, rule.where) for rule, why in rules.explain(signal)),
    )


def _print(told: _Explained) -> None:
    for rule in told.rules:
        mark = "[green]takes it[/]" if rule.takes else escape(rule.why) or "would match, comes later"
        out.print(f"{rule.id:<24} {mark}", highlight=False, soft_wrap=True)
    if told.rule is None:
        out.print("No rule takes it: it is recorded, and opens no incident.")
    elif not told.opens:
        out.print("It is recorded, and opens no incident.")
    else:
        out.print(f"It is {told.severity}, grouped as {escape(told.group)}.", highlight=False)
    if told.silenced_by:
        out.print(f"It is silenced now by {escape(told.silenced_by)}.", highlight=False)
