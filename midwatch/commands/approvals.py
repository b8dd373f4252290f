"""``midwatch approve`` and ``midwatch reject``: a person's word from the command line."""

import sys
from typing import Annotated
from urllib.parse import quote

import typer
from rich.panel import Panel
from rich.text import Text

from midwatch.commands import client
from midwatch.commands.client import REFUSED, USAGE, Api, Judged, Question, complain, open_api
from midwatch.commands.incidents import plan_text
from midwatch.domain.approvals import Choice, DecisionKind
from midwatch.domain.cards import who_may
from midwatch.domain.ids import short
from midwatch.domain.incidents import Incident

Id = Annotated[str, typer.Argument(metavar="ID", help="The incident or the approval; the beginning of its id will do.")]

_GIVEN = (DecisionKind.APPROVED, DecisionKind.VOTED, DecisionKind.REJECTED, DecisionKind.REPEATED, "pending")


def approve(
    approval: Id,
    reason: Annotated[str, typer.Option(help="A word for the record.")] = "",
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Do not ask. Covers both confirmations of a HIGH risk plan: you have read it already."
        ),
    ] = False,
) -> None:
    """Show what Midwatch wants to do, and let it.

    A HIGH risk plan is confirmed a second time. Without a terminal --yes must be given.
    Exit codes: 0 approved or counted, 1 refused or not found, 2 wrong usage, 3 Midwatch cannot be reached.
    """
    with open_api() as api:
        question = _question(api, approval)
        _show(question)
        if not yes and not _may_ask():
            complain("not a terminal to ask on: give --yes after reading the plan", USAGE)
        if not yes and not typer.confirm("Approve this plan?"):
            complain("Not approved; nothing was sent.", REFUSED)
        judged = api.answer(question.id, Choice.APPROVE, reason=reason, digest=question.digest)
        if question.confirm and judged.outcome in (DecisionKind.NEEDS_CONFIRMATION, DecisionKind.REPEATED):
            client.console().print(Text(judged.sentence, "yellow"))
            if not yes and not typer.confirm("HIGH risk. Do it now?"):
                complain("Approved once, not confirmed: nothing will be done.", REFUSED)
            judged = api.answer(question.id, Choice.CONFIRM, reason=reason, digest=question.digest)
    _conclude(judged, question)


def reject(
    approval: Id,
    reason: Annotated[str, typer.Option(help="Why not; kept on the record.")],
) -> None:
    """Say no. The incident goes to a person, with everything learned."""
    with open_api() as api:
        question = _question(api, approval)
        judged = api.answer(question.id, Choice.REJECT, reason=reason, digest=question.digest)
    _conclude(judged, question)


def _question(api: Api, identifier: str) -> Question:
    found = api.find(f"/api/approvals/{quote(identifier)}", Question)
    if found is not None:
        return found
    incident = api.find(f"/api/incidents/{quote(identifier)}", Incident)
    if incident is None:
        complain(f"no approval or incident begins with {identifier}: see `midwatch incidents`", REFUSED)
    if incident.approval is None:
        complain(f"nothing is asked about {incident.title!r} ({incident.state})", REFUSED)
    return api.get(f"/api/approvals/{incident.approval.id}", Question)


def _show(question: Question) -> None:
    out = client.console()
    out.print(Text(question.incident.title, "bold"))
    if question.plan is None:
        complain("the plan was replaced since: look again with `midwatch incidents`", REFUSED)
    out.print(Panel(plan_text(question.plan), title="What will be done", title_align="left", border_style="yellow"))
    if question.outcome is None:
        out.print(Text(f"{who_may(question)}; {client.left(question.expires_at)} left", "dim"))


def _conclude(judged: Judged, question: Question) -> None:
    out = client.console()
    if judged.outcome not in _GIVEN:
        complain(judged.sentence, REFUSED)
    out.print(Text(judged.sentence, "green"))
    out.print(Text(f"midwatch incidents {short(question.incident.id)} --watch", "dim"))


def _may_ask() -> bool:
    return sys.stdin.isatty()
