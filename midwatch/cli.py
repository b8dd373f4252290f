"""The ``midwatch`` command: every sub-command lives in :mod:`midwatch.commands`, this only puts them together."""

import typer

from midwatch import __version__
from midwatch.commands import (
    approvals,
    audit,
    diagnose,
    doctor,
    incidents,
    keeping,
    mcp,
    playbooks,
    rules,
    runbooks,
    sandbox,
    settings,
    silences,
    status,
    stopping,
    up,
    users,
)
from midwatch.commands.oncall import oncall

app = typer.Typer(
    name="midwatch",
    help="The night watch over Kubernetes. `midwatch up` starts it; `midwatch incidents --watch` shows what happens.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"midwatch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """The night watch over Kubernetes. `midwatch up` starts it; `midwatch incidents --watch` shows what happens."""


app.command()(up.up)
app.command()(up.down)
app.command()(keeping.backup)
app.command()(keeping.restore)
app.command()(status.status)
app.command()(incidents.incidents)
app.command()(incidents.signals)
app.command()(incidents.postmortem)
app.command()(approvals.approve)
app.command()(approvals.reject)
app.command()(stopping.cancel)
app.command()(stopping.freeze)
app.command()(stopping.unfreeze)
app.command()(diagnose.diagnose)
app.command()(oncall)
app.command()(sandbox.sandbox)
app.command()(doctor.doctor)
app.command("settings")(settings.settings)
app.add_typer(rules.app, name="rules")
app.add_typer(runbooks.app, name="runbooks")
app.add_typer(playbooks.app, name="playbooks")
app.add_typer(mcp.app, name="mcp")
app.add_typer(silences.app, name="silence")
app.add_typer(users.app, name="users")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Entry point of the console script."""
    app()
