"""The silences API: what opens no incident for a while, and on whose word."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from midwatch.domain.errors import Invalid
from midwatch.domain.matching import Matcher, faults_of, matches_everything
from midwatch.domain.silences import Silence
from serve.bodies import FORM_LIMIT, JSON, read_body
from serve.dependencies import TheEdge
from serve.schemas.plain import JsonValue, json_response, plain
from serve.security import AnOperator, authorised, within_rate

router = APIRouter(prefix="/api/silences", dependencies=[Depends(within_rate), Depends(authorised)])

LONGEST = timedelta(days=90)
"""A silence that nobody remembers is an outage that nobody hears of."""
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A silence as it is asked for. ``starts_at`` is now where it is left out."""

    match: Matcher
    ends_at: _Time
    starts_at: _Time | None = None
    comment: Annotated[str, msgspec.Meta(max_length=2000)] = ""


_WISH = msgspec.json.Decoder(Wish)


@router.get("")
async def silences(
    edge: TheEdge,
    active: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Silences that people made, the last to end first; with ``active=1`` those that hold now."""
    now = edge.clock.now()
    found = await edge.silences.active(now) if active else await edge.silences.recent(limit=limit)
    return json_response({"silences": [_shown(each, now) for each in found]})


@router.post("")
async def begin(request: Request, edge: TheEdge, caller: AnOperator) -> Response:
    """Make a silence; 201 with it. What is silenced is recorded and looked at again when the silence ends."""
    wish = _read(await read_body(request, kinds=JSON, limit=FORM_LIMIT))
    now = edge.clock.now()
    starts_at = wish.starts_at or now
    if wish.ends_at <= max(now, starts_at):
        raise Invalid("ends_at: it would be over before it began")
    if wish.ends_at - now > LONGEST:
        raise Invalid(f"ends_at: a silence lasts at most {LONGEST.days} days; make a maintenance window of it instead")
    silence = Silence(
        id=edge.ids.new(),
        match=wish.match,
        starts_at=starts_at,
        ends_at=wish.ends_at,
        by=caller.user,
        comment=wish.comment,
    )
    await edge.silences.put(silence, by=caller.user, at=now)
    return json_response(_shown(silence, now), HTTPStatus.CREATED)


@router.delete("/{silence_id}")
async def end(edge: TheEdge, caller: AnOperator, silence_id: str) -> Response:
    """End a silence now. It stays on record; ending one that is over changes nothing."""
    now = edge.clock.now()
    silence = await edge.silences.find(silence_id)
    if silence.ends_at > now:
        silence = msgspec.structs.replace(silence, ends_at=now)
        await edge.silences.put(silence, by=caller.user, at=now)
    return json_response(_shown(silence, now))


def _read(body: bytes) -> Wish:
    try:
        wish = _WISH.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"not a silence: {error}") from error
    if faults := faults_of(wish.match):
        raise Invalid(f"not a silence: {faults[0]}")
    if matches_everything(wish.match):
        raise Invalid("not a silence: it would silence everything; say what it is about")
    return wish


def _shown(silence: Silence, now: datetime) -> dict[str, JsonValue]:
    value = plain(silence)
    assert isinstance(value, dict)
    return {**value, "active": silence.until(now) is not None}
