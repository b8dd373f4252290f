"""The audit trail, for those who ask what was done and for those who check that nothing was changed since."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime

from serve.dependencies import TheEdge
from serve.security import authorised, within_rate

router = APIRouter(prefix="/api/audit", dependencies=[Depends(within_rate), Depends(authorised)])


@router.get("")
async def audit(
    edge: TheEdge,
    after: Annotated[int, Query(ge=0)] = 0,
    since: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Response:
    """Rows with a number above ``after``, none older than ``since``, in order; ask again after the last one."""
    rows = await edge.audit.rows(after=after, since=since, limit=limit)
    return Response(msgspec.json.encode({"rows": rows}), media_type="application/json")
