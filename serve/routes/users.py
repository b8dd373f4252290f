"""The users API: who may do what, and the tokens and codes by which they are known. For admins."""

from http import HTTPStatus
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from midwatch.domain.errors import Invalid
from midwatch.domain.users import Account, Role
from serve.bodies import FORM_LIMIT, JSON, read_body
from serve.dependencies import TheEdge
from serve.problems import Forbidden
from serve.schemas.plain import json_response
from serve.security import AnAdmin, TheCaller, authorised, within_rate

router = APIRouter(prefix="/api", dependencies=[Depends(within_rate), Depends(authorised)])

T = TypeVar("T")
_Line = Annotated[str, msgspec.Meta(max_length=200)]
_Why = Annotated[str, Query(max_length=500)]
"""A deletion's reason; of a POST it stands in the body. Both go into the audit trail."""


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user as asked for."""

    name: _Line
    role: Role = Role.VIEWER
    title: _Line = ""
    reason: _Line = ""


class NewRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role
    reason: _Line = ""


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    label: _Line = ""
    reason: _Line = ""


@router.get("/me")
async def me(caller: TheCaller) -> Response:
    """Who is asking, and their role."""
    return json_response({"user": caller.user, "role": str(caller.role)})


@router.get("/users")
async def users(edge: TheEdge, _: AnAdmin) -> Response:
    """Everybody, with identities and tokens (never a token's secret)."""
    return json_response({"users": [_shown(account) for account in await edge.users.all()]})


@router.post("/users")
async def add(request: Request, edge: TheEdge, caller: AnAdmin) -> Response:
    """Make a user; 201 with it, 409 when the name is or was taken."""
    wanted = await _read(request, NewUser)
    user = await edge.users.add(wanted.name, wanted.role, wanted.title, by=caller.user, why=wanted.reason)
    return json_response(_shown(Account(user=user)), HTTPStatus.CREATED)


@router.delete("/users/{name}")
async def remove(edge: TheEdge, caller: AnAdmin, name: str, reason: _Why = "") -> Response:
    """End a user's rights, sessions, tokens and identities at once."""
    return json_response(_shown(Account(user=await edge.users.remove(name, by=caller.user, why=reason))))


@router.post("/users/{name}/role")
async def role(request: Request, edge: TheEdge, caller: AnAdmin, name: str) -> Response:
    """Give another role; in force with the next request and the next click."""
    wanted = await _read(request, NewRole)
    await edge.users.set_role(name, wanted.role, by=caller.user, why=wanted.reason)
    return json_response(_shown(await edge.users.account(name)))


@router.post("/users/{name}/tokens")
async def new_token(request: Request, edge: TheEdge, caller: AnAdmin, name: str) -> Response:
    """A personal token; 201 with its secret, which is shown this once."""
    wanted = await _read(request, NewToken)
    token, secret = await edge.users.new_token(name, wanted.label, by=caller.user, why=wanted.reason)
    return json_response({"id": token.id, "token": secret}, HTTPStatus.CREATED)


@router.delete("/users/{name}/tokens/{token_id}")
async def revoke(edge: TheEdge, caller: AnAdmin, name: str, token_id: str, reason: _Why = "") -> Response:
    """End a token and the sessions begun with it."""
    await edge.users.revoke(name, token_id, by=caller.user, why=reason)
    return json_response(_shown(await edge.users.account(name)))


@router.post("/users/{name}/link")
async def link(edge: TheEdge, caller: TheCaller, name: str) -> Response:
    """A code that ties one chat identity to this user, once, within ten minutes; for an admin, and for oneself."""
    if not caller.may(Role.ADMIN) and caller.user != f"user:{name}":
        raise Forbidden("a code for somebody else needs the role admin")
    return json_response({"code": await edge.users.new_code(name, by=caller.user)}, HTTPStatus.CREATED)


@router.delete("/users/{name}/identities/{identity}")
async def unlink(edge: TheEdge, caller: AnAdmin, name: str, identity: str, reason: _Why = "") -> Response:
    """Forget an identity."""
    await edge.users.unlink(name, identity, by=caller.user, why=reason)
    return json_response(_shown(await edge.users.account(name)))


async def _read(request: Request, kind: type[T]) -> T:
    body = await read_body(request, kinds=JSON, limit=FORM_LIMIT)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"cannot be read: {error}") from error


def _shown(account: Account) -> dict[str, object]:
    user = account.user
    return {
        "name": user.name,
        "role": str(user.role),
        "title": user.title,
        "created_at": user.created_at.isoformat(),
        "identities": list(account.identities),
        "tokens": [
            {"id": token.id, "label": token.label, "created_at": token.created_at.isoformat()}
            for token in account.tokens
        ],
    }
