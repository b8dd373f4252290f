"""``midwatch mcp``: check the file of tool servers, and look at each of them."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from midwatch.adapters.mcp.config import read_config
from midwatch.bootstrap.tools import toolbox
from midwatch.commands.client import Output, show_raw
from midwatch.domain.errors import Invalid
from midwatch.domain.servers import ServerRecord, ServerState
from midwatch.settings import Settings, load_settings

app = typer.Typer(help="Check the MCP servers that models may ask.", no_args_is_help=True)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@app.command()
def check(file: Annotated[Path | None, typer.Argument(help="Default: MIDWATCH_MCP_CONFIG.")] = None) -> None:
    """Read the file strictly; nothing is connected to. Exit code 1 names every fault with file and key."""
    try:
        settings = load_settings()
        path = file or settings.mcp_config
        servers = read_config(path)
        known = {*settings.clusters, "*"}
        if strange := sorted({name for server in servers.values() for name in server.clusters} - known):
            raise Invalid(
                f"{path}: clusters: {', '.join(strange)} not watched; there are {', '.join(settings.clusters)}"
            )
    except Invalid as error:
        err.print(escape(str(error)), style="red")
        raise typer.Exit(1) from error
    for name, server in servers.items():
        allowed = f"{len(server.allowed)} tools allowed" if server.allowed else "[yellow]no tool is allowed[/]"
        state = "disabled" if server.disabled else server.state or "in use"
        out.print(f"{escape(name):<24} {server.transport:<16} {state:<12} {allowed}")
    out.print(f"{len(servers)} servers in {escape(str(path))}, and our own.")


@app.command("list")
def list_servers(
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json or yaml.")] = None,
    cluster: Annotated[str, typer.Option(help="Whose servers; default: those of the first watched cluster.")] = "",
) -> None:
    """Connect to every server, and show its state, what it offers, and what is left out and why.

    Exit code 1: one that should be healthy is not.
    """
    try:
        settings = load_settings()
        read_config(settings.mcp_config)
        records = asyncio.run(_look(settings, cluster))
    except Invalid as error:
        err.print(escape(str(error)), style="red")
        raise typer.Exit(1) from error
    if output in (Output.JSON, Output.YAML):
        show_raw(msgspec.json.encode(records), output)
    else:
        for record in records:
            _tell(record)
    if any(not record.connected and not record.state.manual for record in records):
        raise typer.Exit(1)


async def _look(settings: Settings, cluster: str) -> tuple[ServerRecord, ...]:
    async with toolbox(settings, cluster=cluster) as tools:
        await tools.offer()
        return tools.records()


def _tell(record: ServerRecord) -> None:
    colour = {ServerState.HEALTHY: "green", ServerState.FAILED: "red"}.get(record.state, "yellow")
    word = record.state if record.connected or record.state is not ServerState.HEALTHY else "connecting"
    out.print(f"[bold]{escape(record.name)}[/]  {record.transport}  [{colour}]{word}[/]  {escape(record.error)}")
    if record.offered:
        out.print(f"  offers {escape(', '.join(record.offered))}")
    for line in record.left_out:
        out.print(f"  [dim]left out: {escape(line)}[/]")
