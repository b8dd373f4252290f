"""``midwatch doctor``: what is on, what is off and why, before anything is started."""

import asyncio
from contextlib import aclosing
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from midwatch.bootstrap.doctor import Finding, State, examine
from midwatch.domain.errors import Invalid
from midwatch.settings import Settings, load_settings

_MARKS = {State.ON: ("on   ", "green"), State.OFF: ("off  ", "dim"), State.FAULT: ("FAULT", "bold red")}


def doctor(
    check: Annotated[
        bool, typer.Option("--check", help="Really ask each model provider one small question; it costs a little.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")] = False,
) -> None:
    """Say what is on, what is off and why, and what to do about it. Starts nothing and changes nothing.

    Looks at the stores, the watched cluster, enrichment, policy, model providers and budgets by the settings of this
    shell. A provider is on when its key is there: set ANTHROPIC_API_KEY (or OPENAI_API_KEY, GEMINI_API_KEY,
    XAI_API_KEY, AZURE_OPENAI_*, OLLAMA_BASE_URL) and look again. Keys are never printed. What is off is a choice, what
    is a FAULT is for you to mend. Whether a Midwatch that runs is well: `midwatch status`. What this machine lacks to
    run it at all: `make doctor`.

    Exit codes: 0 no fault, 1 a fault, 2 the settings themselves are wrong.
    """
    try:
        settings = load_settings()
    except Invalid as error:
        Console(stderr=True).print(escape(str(error)), style="red", highlight=False)
        raise typer.Exit(2) from error
    if asyncio.run(_tell(settings, check=check, json=json)):
        raise typer.Exit(1)


async def _tell(settings: Settings, *, check: bool, json: bool) -> int:
    """Print each finding as it comes; how many are faults."""
    out, area, faults = Console(highlight=False, soft_wrap=True), "", 0
    async with aclosing(examine(settings, ask_models=check)) as findings:
        async for finding in findings:
            faults += finding.state is State.FAULT
            if json:
                print(msgspec.json.encode(finding).decode())
                continue
            if finding.area != area:
                area = finding.area
                out.print(Text(area, "bold"))
            _show(out, finding)
    if not json:
        out.print()
        out.print("No faults." if not faults else f"{faults} to mend.", style="green" if not faults else "red")
    return faults


def _show(out: Console, finding: Finding) -> None:
    mark, style = _MARKS[finding.state]
    out.print(Text.assemble("  ", (mark, style), "  ", f"{finding.name:<16}", " ", finding.detail))
    if finding.do:
        out.print(Text(f"{'':<26}→ {finding.do}", "dim"))
