"""The approvals API: what is asked, and people's answers."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from midwatch.domain.approvals import ApprovalRequest, Choice, DecisionKind
from midwatch.domain.errors import Invalid
from midwatch.domain.ids import ApprovalId
from midwatch.domain.incidents import Incident
from serve.bodies import read_answer
from serve.decisions import PENDING, Judgement, decide
from serve.dependencies import TheEdge
from serve.schemas.plain import JsonValue, json_response, plain
from serve.security import AnApprover, authorised, within_rate

router = APIRouter(prefix="/api/approvals", dependencies=[Depends(within_rate), Depends(authorised)])


@router.get("")
async def approvals(
    edge: TheEdge,
    everything: Annotated[bool, Query(alias="all")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Open questions with the plan each is about; with ``all=1`` the answered ones too. Newest first."""
    found = await edge.journal.approvals(open_only=not everything, limit=limit)
    return json_response({"approvals": [_approval(incident, request) for incident, request in found]})


@router.get("/{approval_id}")
async def approval(edge: TheEdge, approval_id: str) -> Response:
    """One question; a unique beginning of its id will do."""
    return json_response(_approval(*await edge.journal.find_approval(ApprovalId(approval_id))))


@router.post("/{approval_id}/{choice}")
async def answer(request: Request, edge: TheEdge, caller: AnApprover, approval_id: str, choice: str) -> Response:
    """Approve, confirm or reject. Stored first, then judged.

    200 where it counted, 202 while it is not judged, 403 where this user may not, 409 where it came to nothing (too
    late, another plan, decided already). The body is the judgement in every case.
    """
    if choice not in tuple(Choice):
        raise Invalid(f"answer with {', '.join(Choice)}, not {choice[:40]}")
    given = await read_answer(request)
    channel = "console" if caller.csrf else "api"
    judged = await decide(edge, approval_id, Choice(choice), given, user=caller.user, channel=channel)
    return json_response(judged, _status(judged))


def _status(judged: Judgement) -> HTTPStatus:
    if judged.outcome == PENDING:
        return HTTPStatus.ACCEPTED
    if judged.outcome == DecisionKind.NOT_ALLOWED:
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.OK if judged.counted else HTTPStatus.CONFLICT


def _approval(incident: Incident, request: ApprovalRequest) -> dict[str, JsonValue]:
    """A question, the incident it is about, and the plan where it is still that one's."""
    value = plain(request)
    assert isinstance(value, dict)
    current = incident.plan if incident.digest == request.digest else None
    about = {"id": incident.id, "title": incident.title, "state": incident.state, "severity": incident.severity}
    return {**value, "incident": plain(about), "plan": plain(current)}
