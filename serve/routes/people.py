"""The page of people: who may do what, by which accounts and tokens they are known. Its changes are an admin's."""

from http import HTTPStatus
from typing import Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from midwatch.domain.errors import Invalid, MidwatchError
from midwatch.domain.users import Account, Role
from serve.bodies import read_form
from serve.dependencies import Edge, TheEdge
from serve.pages import Pages
from serve.problems import problem_of
from serve.routes.console import ThePages, Visitor
from serve.security import Caller, check_csrf, check_role, within_rate

router = APIRouter(default_response_class=Response, dependencies=[Depends(within_rate)])

_OWN: Final = ("link",)
"""What people do for themselves, too."""


class Shown(msgspec.Struct, frozen=True):
    """A secret that the page tells this once, and what it is for."""

    what: str
    secret: str
    hint: str


@router.get("/people")
async def people_page(edge: TheEdge, caller: Visitor, pages: ThePages) -> Response:
    """Everybody for an admin, oneself for everybody else."""
    return await _page(edge, caller, pages)


@router.post("/people")
async def change(request: Request, edge: TheEdge, caller: Visitor, pages: ThePages) -> Response:
    """One form's wish: ``act`` is add, role, token, revoke, link, unlink or remove."""
    form = await read_form(request)
    if caller.csrf:
        check_csrf(request, caller, form.get("csrf", ""))
    try:
        shown = await _done(edge, caller, form)
    except MidwatchError as error:
        problem = problem_of(error)
        return await _page(edge, caller, pages, error=problem.detail, status=problem.status)
    if shown is not None:
        return await _page(edge, caller, pages, shown=shown)
    return RedirectResponse("/people", HTTPStatus.SEE_OTHER)


async def _done(edge: Edge, caller: Caller, form: dict[str, str]) -> Shown | None:
    act, name, users, by = form.get("act", ""), form.get("name", "").strip(), edge.users, caller.user
    if act not in _OWN or caller.user != f"user:{name}":
        check_role(caller, Role.ADMIN)
    match act:
        case "add":
            await users.add(name, _role(form), form.get("title", "").replace("\0", ""), by=by)
        case "role":
            await users.set_role(name, _role(form), by=by)
        case "token":
            _, secret = await users.new_token(name, form.get("label", "").replace("\0", ""), by=by)
            return Shown(f"A token for {name}", secret, "It is shown this once. Give it to nobody else.")
        case "revoke":
            await users.revoke(name, form.get("token", ""), by=by)
        case "link":
            code = await users.new_code(name, by=by)
            hint = f"{name} sends this to the bot in Slack or Telegram within ten minutes; it works once."
            return Shown(f"A code for {name}", f"link {code}", hint)
        case "unlink":
            await users.unlink(name, form.get("identity", ""), by=by)
        case "remove":
            if form.get("sure") != "yes":
                raise Invalid(f"tick the box to remove {name[:80]}: the name is never given to somebody else")
            await users.remove(name, by=by)
        case _:
            raise Invalid("there is no such change")
    return None


def _role(form: dict[str, str]) -> Role:
    try:
        return Role(form.get("role", ""))
    except ValueError as error:
        raise Invalid("choose one of the roles") from error


async def _page(
    edge: Edge, caller: Caller, pages: Pages, *, shown: Shown | None = None, error: str = "", status: int = 200
) -> Response:
    accounts: tuple[Account, ...] = await edge.users.all()
    admin = caller.may(Role.ADMIN)
    if not admin:
        accounts = tuple(each for each in accounts if f"user:{each.user.name}" == caller.user)
    return pages.page(
        "people.html",
        now=edge.clock.now(),
        status=status,
        csrf=caller.csrf,
        who=caller.name,
        accounts=accounts,
        admin=admin,
        roles=tuple(Role),
        shown=shown,
        error=error,
    )
