"""``midwatch diagnose``: a verdict on objects and logs from files or a live cluster; no store, no model, no house."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import yaml
from rich.console import Console

from midwatch.adapters.catalog.log_patterns import load_log_patterns
from midwatch.adapters.system import SystemClock
from midwatch.commands.cases import Case, diagnose_case, only_namespace, parse_batch, parse_instant, parse_objects
from midwatch.commands.live import read_cluster
from midwatch.commands.verdicts import Verdict, show
from midwatch.domain.errors import Invalid, MidwatchError
from midwatch.domain.logs import LogAnalyser
from midwatch.settings import load_settings

HEALTHY, PROBLEMS, BAD_INPUT = 0, 1, 2


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
    JSONL = "jsonl"


def diagnose(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|-]…",
            help="Kubernetes objects as JSON or YAML (lists, several documents); - reads them from standard input",
        ),
    ] = None,
    logs: Annotated[
        list[Path] | None,
        typer.Option("--logs", "-l", metavar="FILE", help="A log of a container; may be given many times"),
    ] = None,
    now: Annotated[
        str, typer.Option(metavar="INSTANT", help="The instant the objects stand for (ISO 8601); default: now")
    ] = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Look at this namespace and at cluster-wide objects only")
    ] = "",
    live: Annotated[
        bool, typer.Option("--live", help="Read the cluster of the current kubeconfig context, and logs of broken pods")
    ] = False,
    context: Annotated[str, typer.Option(help="Read this kubeconfig context (implies --live)")] = "",
    kubeconfig: Annotated[Path | None, typer.Option(help="kubeconfig to read (implies --live)")] = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="How to print the verdict")] = Format.TEXT,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="CASES.jsonl", help="Answer many cases, one JSON object {id, now, objects, logs} a line"),
    ] = None,
) -> None:
    """Say what is wrong, and why: `midwatch diagnose --live`, or `kubectl get all -A -o json | midwatch diagnose -`.

    Exit status: 0 healthy, 1 problems found, 2 the input cannot be read.
    """
    try:
        analyser = LogAnalyser(load_log_patterns(load_settings().rules_dir / "logs"))
        if batch is not None:
            _answer_batch(_read(batch), analyser)
            return
        if live or context or kubeconfig:
            case = _live(kubeconfig, context, namespace)
        else:
            case = _case(files or [], logs or [], now, namespace)
        verdict = diagnose_case(case, analyser)
        _print(verdict, output)
    except MidwatchError as error:
        print(f"midwatch diagnose: {error}", file=sys.stderr)
        raise typer.Exit(BAD_INPUT) from error
    raise typer.Exit(HEALTHY if verdict.healthy else PROBLEMS)


def _live(kubeconfig: Path | None, context: str, namespace: str) -> Case:
    console = Console(stderr=True)
    with console.status("Reading the cluster…"):
        seen = read_cluster(kubeconfig, context, namespace)
    for sentence in seen.unread:
        console.print(f"not read: {sentence}", style="yellow", markup=False, highlight=False)
    return Case(id="cluster", now=SystemClock().now(), objects=seen.objects, logs=seen.logs)


def _case(files: list[str], logs: list[Path], now: str, namespace: str) -> Case:
    if not files and not logs:
        raise Invalid(
            "nothing to look at: name a file, give --logs FILE, pipe objects into `midwatch diagnose -`, or --live"
        )
    instant = parse_instant(now) if now else SystemClock().now()
    objects = [item for name in files for item in parse_objects(name, _read(None if name == "-" else Path(name)))]
    if namespace:
        objects = only_namespace(objects, namespace)
    texts = {str(path): _read(path).decode("utf-8", "replace") for path in logs}
    return Case(id="input", now=instant, objects=objects, logs=texts)


def _answer_batch(data: bytes, analyser: LogAnalyser) -> None:
    clock = SystemClock()
    for case in parse_batch(data, default_now=clock.now()):
        sys.stdout.buffer.write(msgspec.json.encode(diagnose_case(case, analyser)) + b"\n")
    sys.stdout.buffer.flush()


def _read(path: Path | None) -> bytes:
    """A file's bytes, or standard input's. Raises :class:`Invalid` with one sentence."""
    if path is None:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror or error}") from error


def _print(verdict: Verdict, output: Format) -> None:
    if output is Format.TEXT:
        show(verdict, Console())
    elif output is Format.YAML:
        plain = msgspec.to_builtins(verdict)
        sys.stdout.write(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
    else:
        data = msgspec.json.encode(verdict)
        sys.stdout.buffer.write((data if output is Format.JSONL else msgspec.json.format(data, indent=2)) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """`python -m midwatch.commands.diagnose diagnose …`: the command by itself, without the rest of the CLI."""
    app = typer.Typer(add_completion=False)
    app.command()(diagnose)
    app.callback()(lambda: None)
    app()


if __name__ == "__main__":
    main()
