"""GitLab: an issue an incident, a note an entry, closed when it is over, assigned when a person must take over.

Facts of the API (REST v4): ``PRIVATE-TOKEN`` header; issues are found by ``search`` in their description, which sees a
new issue at once; a line that begins with ``/`` in a note would be a quick action, so text from outside is escaped.
"""

import re
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec

from midwatch.adapters.tickets.http import TicketHttp
from midwatch.domain.errors import NotFound, Permanent
from midwatch.domain.tickets import Note, Standing, Ticket

T = TypeVar("T")

LABEL = "midwatch"
_ESCALATED = "midwatch::escalated"
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-!|<>~/$&:^=.])")
_PAGE, _MOST_PAGES = 100, 20


class _Issue(msgspec.Struct, frozen=True):
    iid: int
    description: str | None = None


class _User(msgspec.Struct, frozen=True):
    id: int


class _Body(msgspec.Struct, frozen=True):
    body: str = ""


class GitLabTickets:
    """A :class:`~midwatch.services.tickets.TicketSystem`. ``project`` is an id or a path, ``oncall`` a username."""

    name = "ticket:gitlab"

    def __init__(self, http: TicketHttp, url: str, project: str, *, oncall: str = "") -> None:
        self._http, self._oncall = http, oncall
        self._api = f"{url.rstrip('/')}/api/v4"
        self._issues = f"{self._api}/projects/{quote(project, safe='')}/issues"

    async def ensure(self, ticket: Ticket) -> str:
        marker = _marker(ticket.incident)
        found = await self._http.send(
            "GET", self._issues, params={"search": ticket.incident, "in": "description", "state": "all", "per_page": 20}
        )
        for issue in _read(found, list[_Issue]):
            if marker in (issue.description or ""):
                return str(issue.iid)
        body = {
            "title": ticket.title[:255],
            "description": f"{_text(ticket.lines)}\n\n{marker}",
            "labels": f"{LABEL},severity::{ticket.severity}",
        }
        made = await self._http.send("POST", self._issues, body=msgspec.json.encode(body))
        return str(_read(made, _Issue).iid)

    async def note(self, ref: str, notes: Sequence[Note]) -> None:
        known = await self._known(ref)
        for note in notes:
            marker = _marker(note.key)
            if marker in known:
                continue
            body = {"body": f"**{note.at:%H:%M:%S} UTC** {_text(note.lines)}\n\n{marker}"}
            await self._http.send("POST", f"{self._issues}/{ref}/notes", body=msgspec.json.encode(body))

    async def stand(self, ref: str, standing: Standing) -> None:
        change: dict[str, object] = {
            "state_event": "close" if standing is Standing.CLOSED else "reopen",
            ("add_labels" if standing is Standing.ESCALATED else "remove_labels"): _ESCALATED,
        }
        if standing is Standing.ESCALATED and self._oncall:
            change["assignee_ids"] = [await self._user(self._oncall)]
        await self._http.send("PUT", f"{self._issues}/{ref}", body=msgspec.json.encode(change))

    async def _known(self, ref: str) -> str:
        """All notes of the issue that we may have written, as one text to look for markers in."""
        found: list[str] = []
        for page in range(1, _MOST_PAGES + 1):
            try:
                answer = await self._http.send(
                    "GET",
                    f"{self._issues}/{ref}/notes",
                    params={"per_page": _PAGE, "page": page, "sort": "desc", "order_by": "created_at"},
                )
            except NotFound as error:
                raise Permanent(f"issue {ref} of GitLab is gone: it was deleted, or moved") from error
            bodies = _read(answer, list[_Body])
            found += [item.body for item in bodies]
            if len(bodies) < _PAGE:
                break
        return "\n".join(found)

    async def _user(self, name: str) -> int:
        found = _read(await self._http.send("GET", f"{self._api}/users", params={"username": name}), list[_User])
        if not found:
            raise Permanent(f"GitLab knows no user {name!r}: set MIDWATCH_GITLAB_ONCALL")
        return found[0].id


def _read(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise Permanent(
            f"GitLab answered something else than was asked for ({error}): check MIDWATCH_GITLAB_URL"
        ) from error


def _marker(key: str) -> str:
    """Not shown by GitLab, and nothing that escaped text can contain."""
    return f"<!-- midwatch {key} -->"


def _text(lines: Sequence[str]) -> str:
    return "\n\n".join(escaped(line) for line in lines)


def escaped(text: str) -> str:
    """Text as GitLab shows it letter by letter: no markup, no quick action, no mention of anybody."""
    flat = " ".join(text.split())
    return _SPECIAL.sub(r"\\\1", flat).replace("@", "@\u200b")
