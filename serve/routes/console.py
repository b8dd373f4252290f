"""The console: server-rendered pages, kept fresh by server-sent events, and one form that answers approvals."""

from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import RedirectResponse

from midwatch.domain.approvals import Choice, DecisionKind
from midwatch.domain.errors import Invalid, MidwatchError
from midwatch.domain.events import Entry
from midwatch.domain.ids import IncidentId
from midwatch.domain.users import Role
from serve.boards import Boards
from serve.bodies import Answer, read_form
from serve.decisions import PENDING, Judgement, decide
from serve.dependencies import Edge, TheEdge
from serve.following import follow, resume_point
from serve.pages import Pages
from serve.postmortem import whole_draft
from serve.problems import Unauthorized, problem_of
from serve.security import COOKIE, Caller, Sessions, bearer_of, caller_of, check_csrf, check_role, within_rate
from serve.sse import HEARTBEAT, event, stream
from serve.views import happenings, page_of

router = APIRouter(default_response_class=Response)

_SHOWN = 300
"""Newest entries on an incident's page; the API has them all."""


class LoginNeeded(Unauthorized):
    """A page was asked for without a session."""


async def visitor(request: Request, edge: TheEdge) -> Caller:
    """Whoever looks at a page; ``LoginNeeded`` sends browsers to the login."""
    caller = await caller_of(request, edge)
    if caller is None:
        raise LoginNeeded("log in first")
    return caller


async def pages_of(request: Request) -> Pages:
    """The app's templates."""
    pages: Pages = request.app.state.pages
    return pages


async def boards_of(request: Request) -> Boards:
    """The replica's reader of front pages."""
    boards: Boards = request.app.state.boards
    return boards


Visitor = Annotated[Caller, Depends(visitor)]
ThePages = Annotated[Pages, Depends(pages_of)]
TheBoards = Annotated[Boards, Depends(boards_of)]


async def to_login(request: Request, _: Exception) -> Response:
    """Answer to ``LoginNeeded``: back to where one wanted to go, once logged in."""
    wanted = request.url.path if request.method == "GET" and not request.url.path.endswith("live") else "/"
    if request.headers.get("hx-request") or request.method != "GET":
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": f"/login?next={wanted}"})
    return RedirectResponse(f"/login?next={wanted}", HTTPStatus.SEE_OTHER)


@router.get("/login", dependencies=[Depends(within_rate)])
async def login_page(
    request: Request,
    edge: TheEdge,
    pages: ThePages,
    goal: Annotated[str, Query(alias="next", max_length=500)] = "/",
    token: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """The form; with the token in the address (as printed at the first start) straight on, out of the address bar."""
    if token:
        return await _log_in(request, edge, pages, token, goal)
    return pages.page("login.html", now=edge.clock.now(), next=_inside(goal), error="")


@router.post("/login", dependencies=[Depends(within_rate)])
async def log_in(request: Request, edge: TheEdge, pages: ThePages) -> Response:
    """Token for session."""
    form = await read_form(request)
    return await _log_in(request, edge, pages, form.get("token", ""), form.get("next", "/"))


async def _log_in(request: Request, edge: Edge, pages: Pages, token: str, goal: str) -> Response:
    now = edge.clock.now()
    known = await bearer_of(token.strip(), edge)
    if known is None:
        error = "That is not the token."
        return pages.page("login.html", now=now, status=HTTPStatus.UNAUTHORIZED, next=_inside(goal), error=error)
    expires = now + timedelta(seconds=edge.limits.session_s)
    cookie = Sessions(edge.token).begin(edge.ids.new(), expires=expires, token_id=known[0])
    response = RedirectResponse(_inside(goal), HTTPStatus.SEE_OTHER)
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    response.set_cookie(
        COOKIE, cookie, max_age=int(edge.limits.session_s), httponly=True, samesite="strict", secure=secure
    )
    return response


def _inside(goal: str) -> str:
    """A path of this console; anything that could lead elsewhere becomes the front page."""
    safe = goal.startswith("/") and not goal.startswith("//") and "\\" not in goal and goal.isprintable()
    return goal if safe else "/"


@router.post("/logout")
async def log_out(request: Request, caller: Visitor) -> Response:
    """End the session in this browser."""
    check_csrf(request, caller, (await read_form(request)).get("csrf", ""))
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.get("/", dependencies=[Depends(within_rate)])
async def home(edge: TheEdge, caller: Visitor, pages: ThePages, boards: TheBoards) -> Response:
    """What is happening, in ten seconds."""
    return pages.page("home.html", now=edge.clock.now(), csrf=caller.csrf, who=caller.name, board=await boards.read())


@router.get("/live")
async def home_live(edge: TheEdge, caller: Visitor, pages: ThePages, boards: TheBoards) -> Response:
    """The board, sent again whenever it changed."""

    async def events() -> AsyncIterator[bytes]:
        async for board in boards.follow():
            yield (
                event(pages.text("_board.html", now=edge.clock.now(), csrf=caller.csrf, board=board))
                if board
                else HEARTBEAT
            )

    return stream(events())


@router.get("/incidents/{incident_id}", dependencies=[Depends(within_rate)])
async def incident_page(edge: TheEdge, caller: Visitor, pages: ThePages, incident_id: str) -> Response:
    """One incident: state, question, cause, evidence, timeline."""
    incident = await edge.journal.read(IncidentId(incident_id))
    entries = await edge.journal.entries(incident.id, after=max(0, incident.seq - _SHOWN))
    return pages.page(
        "incident.html",
        now=edge.clock.now(),
        csrf=caller.csrf,
        who=caller.name,
        page=page_of(incident),
        happenings=happenings(entry for entry in entries if entry.seq <= incident.seq),
        judgement=None,
    )


@router.get("/incidents/{incident_id}/postmortem.md", dependencies=[Depends(within_rate)])
async def postmortem(request: Request, edge: TheEdge, _: Visitor, incident_id: str) -> Response:
    """The draft of a post-mortem, to be kept as a file."""
    text = await whole_draft(edge, IncidentId(incident_id), str(request.base_url))
    name = f"postmortem-{quote(incident_id, safe='')}.md"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type="text/markdown; charset=utf-8", headers=headers)


@router.get("/incidents/{incident_id}/live")
async def incident_live(
    edge: TheEdge,
    caller: Visitor,
    pages: ThePages,
    incident_id: str,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[str, Header()] = "",
) -> Response:
    """New entries for the top of the timeline, each batch with the rest of the page as it stands then."""
    incident = await edge.journal.read(IncidentId(incident_id))
    start = resume_point(last_event_id, after)

    async def events() -> AsyncIterator[bytes]:
        last = start
        async for batch in follow(edge, incident.id, start, linger_s=edge.limits.linger_s):
            if not batch:
                yield HEARTBEAT
                continue
            last = batch[-1].seq
            yield event(await _update(edge, caller, pages, incident.id, batch), id_=str(last))
        yield event("{}", id_=str(last), name="end")

    return stream(events())


async def _update(edge: Edge, caller: Caller, pages: Pages, incident_id: IncidentId, batch: tuple[Entry, ...]) -> str:
    now = edge.clock.now()
    page = page_of(await edge.journal.read(incident_id))
    state = pages.text("_state.html", now=now, csrf=caller.csrf, page=page, judgement=None)
    moments = pages.text("_moments.html", now=now, happenings=happenings(batch))
    return f'{moments}<hx-partial hx-target="#state" hx-swap="innerMorph">{state}</hx-partial>'


@router.post("/incidents/{incident_id}/answer", dependencies=[Depends(within_rate)])
async def answer(request: Request, edge: TheEdge, caller: Visitor, pages: ThePages, incident_id: str) -> Response:
    """A click on the approval card. Stored first; the card itself changes through the live stream."""
    form = await read_form(request)
    if caller.csrf:
        check_csrf(request, caller, form.get("csrf", ""))
    try:
        check_role(caller, Role.APPROVER)
        judged = await decide(
            edge,
            form.get("approval", ""),
            _choice(form.get("choice", "")),
            Answer(form.get("reason", "")[:2000].replace("\0", ""), form.get("digest", "")),
            user=caller.user,
            channel="console",
        )
    except MidwatchError as error:
        problem = problem_of(error)
        sentence, tone, status = problem.detail, "bad", problem.status
    else:
        sentence, tone, status = judged.sentence, _tone(judged), HTTPStatus.OK
    if not request.headers.get("hx-request"):
        return RedirectResponse(f"/incidents/{incident_id}", HTTPStatus.SEE_OTHER)
    shown = {"sentence": sentence, "tone": tone}
    return pages.page("_judgement.html", now=edge.clock.now(), status=status, judgement=shown)


def _choice(text: str) -> Choice:
    if text not in tuple(Choice):
        raise Invalid("answer with approve, confirm or reject")
    return Choice(text)


def _tone(judged: Judgement) -> str:
    if judged.outcome == PENDING:
        return "info"
    if judged.outcome in (DecisionKind.NEEDS_CONFIRMATION, DecisionKind.VOTED):
        return "ask"
    return "good" if judged.counted else "bad"
