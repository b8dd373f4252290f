"""A verdict as a person reads it in a terminal."""

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from midwatch.domain.diagnosis import Diagnosis, Evidence, Finding
from midwatch.domain.refs import Severity

_STYLE = {
    Severity.CRITICAL: "bold white on red",
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.INFO: "dim",
}
_SHOWN_EVIDENCE = 3


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one case, and the root cause where there is one."""

    id: str
    findings: tuple[Finding, ...] = ()
    diagnosis: Diagnosis | None = None

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings that someone should look at, the worst first."""
        raised = (finding for finding in self.findings if finding.severity is not Severity.INFO)
        return tuple(sorted(raised, key=lambda finding: -finding.severity.rank))

    @property
    def healthy(self) -> bool:
        return not self.problems


def show(verdict: Verdict, console: Console) -> None:
    """Print the verdict: the root cause first, then each problem with what was seen, then what to do."""
    problems = verdict.problems
    if not problems:
        console.print("[bold green]Healthy[/]: nothing wrong was found.")
        return
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    console.print(f"[bold]{count}[/]")
    if verdict.diagnosis is not None:
        _show_cause(verdict.diagnosis, console)
    for finding in problems:
        console.print()
        console.print(f"[{_STYLE[finding.severity]}]{finding.severity}[/] [bold]{escape(finding.title)}[/]")
        console.print(Padding(escape(f"{finding.subject} · {finding.condition}"), (0, 0, 0, 2)), style="dim")
        if finding.summary:
            console.print(Padding(escape(finding.summary), (0, 0, 0, 2)))
        for evidence in finding.evidence[:_SHOWN_EVIDENCE]:
            console.print(Padding(escape(_quoted(evidence)), (0, 0, 0, 2)), style="cyan")
    if verdict.diagnosis is not None:
        _show_next(verdict.diagnosis, console)


def _show_cause(diagnosis: Diagnosis, console: Console) -> None:
    console.print(f"[bold]Root cause[/] ({diagnosis.confidence:.0%} sure): {escape(diagnosis.root_cause)}")
    if diagnosis.factors:
        console.print(f"[bold]Also seen[/]: {escape('; '.join(diagnosis.factors))}")


def _show_next(diagnosis: Diagnosis, console: Console) -> None:
    if diagnosis.recommended_action:
        console.print(f"\n[bold]What to do[/]: {escape(diagnosis.recommended_action)}")
    if diagnosis.next_checks:
        console.print("\n[bold]Check next[/]")
        for check in diagnosis.next_checks:
            console.print(Padding(escape(f"- {check}"), (0, 0, 0, 2)))


def _quoted(evidence: Evidence) -> str:
    place = f"{evidence.source}:{evidence.line}" if evidence.line else f"{evidence.source} {evidence.path}".strip()
    return f"{place}: {evidence.text[:200]}"
