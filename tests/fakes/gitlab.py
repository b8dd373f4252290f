"""A GitLab that a test holds in its hand: tokens are enforced, rates are limited, quick actions are carried out."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import unquote

import httpx2
import msgspec

TOKEN = "glpat-made-up"
PROJECT = "ops/night"


@dataclass
class Issue:
    iid: int
    title: str
    description: str
    labels: set[str]
    state: str = "opened"
    assignees: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class FakeGitLab:
    """``limit``: requests that are answered before 429. ``die_after``: the next writes take effect, unanswered."""

    def __init__(self, *, users: dict[str, int] | None = None) -> None:
        self.issues: list[Issue] = []
        self.users = users or {"oncall": 7}
        self.requests: list[tuple[str, str]] = []
        self.limit: int | None = None
        self.lost_answers = 0
        self.down = False

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self.answer)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        path = unquote(request.url.raw_path.decode().partition("?")[0])
        self.requests.append((request.method, path))
        if self.down:
            return httpx2.Response(502)
        if request.headers.get("private-token") != TOKEN:
            return httpx2.Response(401, json={"message": "401 Unauthorized"})
        if self.limit is not None:
            if self.limit == 0:
                return httpx2.Response(429, headers={"Retry-After": "30"})
            self.limit -= 1
        answer = self._route(request, path)
        if request.method == "POST" and self.lost_answers and answer.is_success:
            self.lost_answers -= 1
            raise httpx2.ReadTimeout("the answer was lost", request=request)
        return answer

    def _route(self, request: httpx2.Request, path: str) -> httpx2.Response:
        params = dict(request.url.params)
        issues = f"/api/v4/projects/{PROJECT}/issues"
        if path == "/api/v4/users":
            found = [{"id": number} for name, number in self.users.items() if name == params["username"]]
            return httpx2.Response(200, json=found)
        if path == issues and request.method == "GET":
            hits = [self._shown(item) for item in self.issues if params["search"] in item.description]
            return httpx2.Response(200, json=hits)
        if path == issues:
            body = self._body(request)
            made = Issue(len(self.issues) + 1, body["title"], body["description"], set(body["labels"].split(",")))
            self._act(made, body["description"])
            self.issues.append(made)
            return httpx2.Response(201, json=self._shown(made))
        issue = next((item for item in self.issues if path.startswith(f"{issues}/{item.iid}")), None)
        if issue is None or not path.startswith(issues):
            return httpx2.Response(404, json={"message": "404 Not found"})
        if path.endswith("/notes"):
            return self._notes(request, issue, params)
        body = self._body(request)
        issue.state = {"close": "closed", "reopen": "opened"}[body["state_event"]]
        issue.labels |= set(filter(None, body.get("add_labels", "").split(",")))
        issue.labels -= set(body.get("remove_labels", "").split(","))
        issue.assignees = body.get("assignee_ids", issue.assignees)
        return httpx2.Response(200, json=self._shown(issue))

    def _notes(self, request: httpx2.Request, issue: Issue, params: dict[str, str]) -> httpx2.Response:
        if request.method == "GET":
            size, page = int(params["per_page"]), int(params["page"])
            found = issue.notes[::-1][size * (page - 1) : size * page]
            return httpx2.Response(200, json=[{"body": note} for note in found])
        body = self._body(request)["body"]
        self._act(issue, body)
        issue.notes.append(body)
        return httpx2.Response(201, json={"id": len(issue.notes)})

    @staticmethod
    def _act(issue: Issue, text: str) -> None:
        """Quick actions: a line that begins with a slash, as GitLab reads it."""
        if re.search(r"^\s*/close\b", text, re.MULTILINE):
            issue.state = "closed"

    @staticmethod
    def _body(request: httpx2.Request) -> dict[str, Any]:
        return msgspec.json.decode(request.content, type=dict[str, Any])

    @staticmethod
    def _shown(issue: Issue) -> dict[str, Any]:
        return {"iid": issue.iid, "description": issue.description, "state": issue.state}


@contextmanager
def serving(gitlab: FakeGitLab) -> Iterator[str]:
    """This GitLab behind a port of the loopback; its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = httpx2.Request(
                self.command, f"http://gitlab.test{self.path}", headers=list(self.headers.items()), content=body
            )
            given = gitlab.answer(request)
            self.send_response(given.status_code)
            self.send_header("content-length", str(len(given.content)))
            self.end_headers()
            self.wfile.write(given.content)

        do_GET = do_POST = do_PUT = answer  # noqa: N815  as http.server wants it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
