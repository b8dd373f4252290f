"""``midwatch freeze``, ``unfreeze`` and ``cancel``: a person stops what Midwatch does."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.text import Text

from midwatch.adapters.catalog.rules import duration
from midwatch.adapters.system import SystemClock
from midwatch.commands import client
from midwatch.commands.client import USAGE, complain, decoded, open_api
from midwatch.domain.incidents import Incident, State

Many = list[str]


class _Pause(msgspec.Struct, frozen=True):
    sentence: str


class _Pauses(msgspec.Struct, frozen=True):
    pauses: tuple[_Pause, ...]


def freeze(
    namespace: Annotated[Many | None, typer.Option("--namespace", "-n", help="A namespace; it may end in *.")] = None,
    lasts: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d12h. Left out: until unfreeze.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for those who wonder.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Only tell which pauses hold now.")] = False,
) -> None:
    """Pause every action at once, or those in some namespaces. Diagnosis goes on.

    A step that was sent already is verified, or taken back; no other begins. Exit codes: 0 done, 1 refused, 2 wrong
    usage, 3 Midwatch cannot be reached.
    """
    with open_api() as api:
        if show:
            _tell(api.get("/api/freeze", _Pauses), "Nothing is paused.")
            return
        wish: dict[str, object] = {"reason": reason}
        if namespace:
            wish["namespaces"] = namespace
        if lasts:
            wish["ends_at"] = (SystemClock().now() + _span(lasts)).isoformat()
        made = decoded(api.send("POST", "/api/freeze", wish), _Pause)
    client.console().print(Text(made.sentence, "yellow"))


def unfreeze(
    namespace: Annotated[
        Many | None, typer.Option("--namespace", "-n", help="Only the pause of exactly these namespaces.")
    ] = None,
) -> None:
    """Let actions go on: end every pause, or that of some namespaces."""
    query = "&".join(f"namespace={quote(name, safe='')}" for name in namespace or ())
    with open_api() as api:
        ended = decoded(api.send("DELETE", f"/api/freeze{f'?{query}' if query else ''}"), _Pauses)
    client.console().print(f"{len(ended.pauses)} pauses ended." if ended.pauses else "Nothing was paused.")


def cancel(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="The beginning of its id will do.")],
    reason: Annotated[str, typer.Option(help="A word for the record.")] = "",
) -> None:
    """Take an incident out of Midwatch's hands: no further step of its plan begins."""
    with open_api() as api:
        body = api.send("POST", f"/api/incidents/{quote(incident, safe='')}/cancel", {"reason": reason})
    left = decoded(body, Incident)
    said = (
        "It is yours now." if left.state is State.ESCALATED else "The step that runs ends as it would; no other begins."
    )
    client.console().print(Text(said, "yellow"))


def _tell(found: _Pauses, nothing: str) -> None:
    for pause in found.pauses:
        client.console().print(Text(pause.sentence, "yellow"))
    if not found.pauses:
        client.console().print(nothing)


def _span(lasts: str) -> timedelta:
    try:
        span = duration(lasts)
    except ValueError as error:
        complain(str(error), USAGE)
    if span <= timedelta(0):
        complain("--for: a pause of no time is none", USAGE)
    return span
