"""Talking to Midwatch's API from the command line: address, token, and errors as exit codes.

Exit codes of all commands that use it: 0 done, 1 refused or not found, 2 wrong usage, 3 Midwatch cannot be reached.
"""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn, TypeVar
from urllib.parse import quote

import httpx2
import msgspec
import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from midwatch.adapters.system import SystemClock
from midwatch.domain.approvals import ApprovalRequest
from midwatch.domain.errors import MidwatchError
from midwatch.domain.playbooks import Plan
from midwatch.domain.refs import Severity
from midwatch.domain.spans import in_words
from midwatch.settings import Settings, load_settings

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
_TIMEOUT_S = 15.0
_SILENCE_S = 60.0
_RECONNECTS = 10
_PIPE_WIDTH = 200

T = TypeVar("T")


class Output(StrEnum):
    """How to print: a table (the default), a wider table, or the API's own answer."""

    JSON = "json"
    YAML = "yaml"
    WIDE = "wide"


class About(msgspec.Struct, frozen=True):
    """The incident that a question is about."""

    id: str
    title: str
    state: str
    severity: str


class Question(ApprovalRequest, frozen=True, kw_only=True):
    """An approval request as the API shows it, with the plan it is about."""

    incident: About
    plan: Plan | None = None


class Judged(msgspec.Struct, frozen=True):
    """What became of an answer."""

    outcome: str
    sentence: str


class Moment(msgspec.Struct, frozen=True):
    """One entry of a timeline, in words."""

    seq: int
    at: datetime
    by: str
    title: str
    type: str = ""
    detail: str = ""
    why: str = ""
    tone: str = "info"


class Problem(msgspec.Struct, frozen=True):
    """What the API says when it refuses."""

    title: str = ""
    detail: str = ""


def console() -> Console:
    """Where answers go: colours only on a terminal, and lines are not cut when piped."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def complain(message: str, code: int) -> NoReturn:
    """One line to stderr, and the end."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(escape(message), style="red")
    raise typer.Exit(code)


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def decoded(body: bytes, kind: type[T]) -> T:
    """An answer as a typed value, without what could steer a terminal: its text was written by whatever broke."""
    return msgspec.convert(_printable(msgspec.json.decode(body)), kind)


def printable(text: str) -> str:
    """Text that cannot steer a terminal."""
    return _UNPRINTABLE.sub("\ufffd", text)


def _printable(value: object) -> object:
    match value:
        case str():
            return printable(value)
        case list():
            return [_printable(item) for item in value]
        case dict():
            return {_printable(key): _printable(item) for key, item in value.items()}
        case _:
            return value


class Api:
    """The API behind one address."""

    def __init__(self, http: httpx2.Client, url: str) -> None:
        self._http, self._url = http, url

    def raw(self, path: str, **params: str | int | bool) -> bytes:
        """The body of a GET. Ends the command where the API refuses or is away."""
        return self._checked(self._send("GET", path, params=params)).content

    def get(self, path: str, kind: type[T], **params: str | int | bool) -> T:
        """A GET, decoded."""
        return decoded(self.raw(path, **params), kind)

    def poll(self, path: str, kind: type[T], **params: str | int | bool) -> T | None:
        """A GET for those who ask again and again: ``None`` while Midwatch is away."""
        try:
            answer = self._http.get(path, params=params)
        except httpx2.TransportError:
            return None
        if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
            return None
        return decoded(self._checked(answer).content, kind)

    def find(self, path: str, kind: type[T]) -> T | None:
        """A GET of one thing, ``None`` when there is none."""
        answer = self._send("GET", path, params={})
        return None if answer.status_code == httpx2.codes.NOT_FOUND else decoded(self._checked(answer).content, kind)

    def send(self, method: str, path: str, body: object = None) -> bytes:
        """A writing request with a JSON body, where there is one; the body of the answer."""
        options: dict[str, object] = {} if body is None else {"json": body}
        return self._checked(self._send(method, path, **options)).content

    def health(self) -> bytes:
        """The health document; it comes with 503 too, when a required part is away."""
        return self._send("GET", "/health", params={}).content

    def answer(self, approval: str, choice: str, *, reason: str, digest: str) -> Judged:
        """Answer an approval. A judgement is one whether or not it counted."""
        body = {"reason": reason, "digest": digest}
        answer = self._send("POST", f"/api/approvals/{quote(approval)}/{choice}", json=body)
        try:
            return decoded(answer.content, Judged)
        except msgspec.ValidationError:
            self._checked(answer)
            raise

    def moments(self, incident: str, *, after: int = 0) -> Iterator[Moment]:
        """The timeline, then each new entry as it comes, until the incident is over. Survives a cut connection."""
        failures = 0
        while True:
            try:
                for moment in self._stream(incident, after):
                    after, failures = moment.seq, 0
                    yield moment
                return
            except httpx2.TransportError as error:
                failures += 1
                if failures > _RECONNECTS:
                    self._unreachable(error)
                time.sleep(1)

    def _stream(self, incident: str, after: int) -> Iterator[Moment]:
        path = f"/api/incidents/{quote(incident)}/timeline"
        timeout = httpx2.Timeout(_TIMEOUT_S, read=_SILENCE_S)
        with self._http.stream("GET", path, params={"after": after}, timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
                self._checked(answer)
            name = ""
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if not line:
                    name = ""
                elif field == "event":
                    name = value
                elif field == "data" and name == "end":
                    return
                elif field == "data":
                    yield decoded(value.encode(), Moment)

    def _send(self, method: str, path: str, **options: object) -> httpx2.Response:
        try:
            return self._http.request(method, path, **options)  # type: ignore[arg-type]  # params or json
        except httpx2.TransportError as error:
            self._unreachable(error)

    def _unreachable(self, error: httpx2.TransportError) -> NoReturn:
        complain(
            f"Midwatch does not answer at {self._url} ({type(error).__name__}). "
            "Start it with `midwatch up`, or set MIDWATCH_HOST and MIDWATCH_PORT to where it runs.",
            UNREACHABLE,
        )

    def _checked(self, answer: httpx2.Response) -> httpx2.Response:
        if not answer.is_error:
            return answer
        try:
            problem = decoded(answer.content, Problem)
        except msgspec.DecodeError:
            problem = Problem()
        said = problem.detail or problem.title or answer.reason_phrase
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            said = f"the token was refused by {self._url}: set MIDWATCH_API_TOKEN, or MIDWATCH_STATE_DIR to its state"
        unreachable = answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR
        complain(said, UNREACHABLE if unreachable else REFUSED)


@contextmanager
def open_api() -> Iterator[Api]:
    """The API that the settings point at."""
    try:
        settings = load_settings()
        headers = {"Authorization": f"Bearer {_token(settings)}"}
    except MidwatchError as error:
        complain(str(error), USAGE)
    with httpx2.Client(base_url=settings.url, headers=headers, timeout=_TIMEOUT_S, trust_env=False) as http:
        yield Api(http, settings.url)


def _token(settings: Settings) -> str:
    if settings.api_token is not None:
        return settings.api_token.get_secret_value()
    try:
        return settings.token_file.read_text().strip()
    except FileNotFoundError:
        complain(
            f"no token in {settings.token_file}: `midwatch up` makes it at its first start; "
            "for one that runs elsewhere set MIDWATCH_API_TOKEN",
            UNREACHABLE,
        )
    except OSError as error:
        complain(f"the token cannot be read: {error}", REFUSED)


def show_raw(body: bytes, output: Output) -> None:
    """Print the API's answer as it is, as indented JSON or YAML."""
    if output is Output.YAML:
        typer.echo(yaml.safe_dump(msgspec.json.decode(body), sort_keys=False, allow_unicode=True), nl=False)
    else:
        typer.echo(msgspec.json.format(body, indent=2))


def age(when: datetime) -> str:
    """How long ago, in words."""
    return in_words(SystemClock().now() - when.astimezone(UTC))


def left(when: datetime) -> str:
    """How long until, in words."""
    return in_words(when.astimezone(UTC) - SystemClock().now())


_COLOURS = {Severity.CRITICAL: "bold red", Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "blue"}
_STATES = {"awaiting_approval": "bold yellow", "escalated": "bold red", "resolved": "green", "closed": "green"}
TONES = {"good": "green", "bad": "red", "ask": "yellow", "work": "cyan", "info": "default"}


def severity_text(severity: str) -> Text:
    """A severity in its colour."""
    return Text(severity, _COLOURS.get(Severity(severity), ""))


def state_text(state: str) -> Text:
    """A state in words and colour."""
    return Text(state.replace("_", " "), _STATES.get(state, "cyan"))
