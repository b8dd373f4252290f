"""``midwatch users``: who may do what, and how they are known."""

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from midwatch.commands import client
from midwatch.commands.client import Output, decoded, open_api, show_raw
from midwatch.domain.users import Role

app = typer.Typer(help="Who may do what: users, their roles, tokens and chat identities.", no_args_is_help=True)

Why = Annotated[str, typer.Option("--reason", help="Why, for the audit trail.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in policy files: user:NAME.")]


class _Token(msgspec.Struct, frozen=True):
    id: str
    created_at: datetime
    label: str = ""


class _User(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: Role
    title: str = ""
    identities: tuple[str, ...] = ()
    tokens: tuple[_Token, ...] = ()


class _List(msgspec.Struct, frozen=True):
    users: tuple[_User, ...]


class _Made(msgspec.Struct, frozen=True):
    id: str
    token: str


class _Code(msgspec.Struct, frozen=True):
    code: str


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="viewer looks, operator asks, approver decides, admin manages.")],
    title: Annotated[str, typer.Option(help="Their name for people.")] = "",
    reason: Why = "",
) -> None:
    """Make a user. Exit codes: 0 done, 1 refused, 2 wrong usage, 3 Midwatch cannot be reached."""
    with open_api() as api:
        wish = {"name": name, "role": str(role), "title": title, "reason": reason}
        made = decoded(api.send("POST", "/api/users", wish), _User)
    client.console().print(f"User {made.name} is {made.role}. Next: midwatch users token {made.name}", markup=False)


@app.command("list")
def list_(
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json or yaml.")] = None,
) -> None:
    """List users with their identities and tokens."""
    with open_api() as api:
        if output in (Output.JSON, Output.YAML):
            show_raw(api.raw("/api/users"), output)
            return
        users = api.get("/api/users", _List).users
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "ROLE", "IDENTITIES", "TOKENS", "TITLE"):
        table.add_column(column)
    for user in users:
        tokens = ", ".join(f"{token.id[:18]}{f' ({token.label})' if token.label else ''}" for token in user.tokens)
        cells = (user.name, str(user.role), ", ".join(user.identities), tokens, user.title)
        table.add_row(*(Text(cell) for cell in cells))
    client.console().print(table if table.row_count else "There are no users; the house's own token is admin.")


@app.command()
def token(
    name: Name,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    revoke: Annotated[str, typer.Option(help="End the token whose id begins so, instead of making one.")] = "",
    reason: Why = "",
) -> None:
    """Make a personal token and show it, this once; or end one."""
    path = f"/api/users/{quote(name, safe='')}/tokens"
    with open_api() as api:
        if revoke:
            api.send("DELETE", f"{path}/{quote(revoke, safe='')}{_asked(reason)}")
            client.console().print("The token and the sessions begun with it have ended.")
            return
        made = decoded(api.send("POST", path, {"label": label, "reason": reason}), _Made)
    typer.echo(made.token)
    typer.echo("Shown once. Use it as MIDWATCH_API_TOKEN, or to log in to the console.", err=True)


@app.command()
def link(
    name: Name,
    remove: Annotated[str, typer.Option(help="Forget this identity (slack:U0123), instead of adding one.")] = "",
    reason: Why = "",
) -> None:
    """Show a code that ties a chat identity to a user: they send `link CODE` to the bot within ten minutes."""
    path = f"/api/users/{quote(name, safe='')}"
    with open_api() as api:
        if remove:
            api.send("DELETE", f"{path}/identities/{quote(remove, safe='')}{_asked(reason)}")
            client.console().print(f"{remove} is no longer {name}.", markup=False)
            return
        made = decoded(api.send("POST", f"{path}/link"), _Code)
    typer.echo(f"link {made.code}")
    typer.echo("Send this to the bot within ten minutes, from the account that is to be linked.", err=True)


@app.command()
def role(
    name: Name,
    role: Annotated[Role, typer.Argument(help="viewer, operator, approver or admin.")],
    reason: Why = "",
) -> None:
    """Give a user another role, in force at once."""
    with open_api() as api:
        wish = {"role": str(role), "reason": reason}
        changed = decoded(api.send("POST", f"/api/users/{quote(name, safe='')}/role", wish), _User)
    client.console().print(f"User {changed.name} is {changed.role}.", markup=False)


@app.command()
def remove(name: Name, reason: Why = "") -> None:
    """End a user's rights, tokens, sessions and identities at once. The name is not given again."""
    with open_api() as api:
        api.send("DELETE", f"/api/users/{quote(name, safe='')}{_asked(reason)}")
    client.console().print(f"User {name} is removed.", markup=False)


def _asked(reason: str) -> str:
    return f"?reason={quote(reason, safe='')}" if reason else ""
