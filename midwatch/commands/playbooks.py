"""``midwatch playbooks``: check the playbook files and the policy, and show what a playbook would do."""

import asyncio
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import quote

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from midwatch.adapters.catalog.playbooks import load_playbooks
from midwatch.adapters.catalog.policy import load_policy
from midwatch.adapters.mcp.kubernetes.actions import ClusterActions
from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.adapters.system import SystemClock
from midwatch.bootstrap.previewing import open_preview, own_cluster
from midwatch.commands.client import Output, open_api, show_raw
from midwatch.domain.checks import Scene, evaluate
from midwatch.domain.compiling import compile_plan
from midwatch.domain.errors import Invalid, MidwatchError, NotFound
from midwatch.domain.incidents import Incident
from midwatch.domain.observed import Observed
from midwatch.domain.playbooks import Plan, PlanStep, Verdict, plan_digest
from midwatch.domain.policy import Context, decide
from midwatch.domain.refs import ObjectRef
from midwatch.domain.shadows import Tally
from midwatch.domain.signals import Tier
from midwatch.services.effects import ActionCall
from midwatch.settings import ClusterTarget, Settings, load_settings

app = typer.Typer(help="Check the playbook files, and show what a playbook would do.", no_args_is_help=True)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@app.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="Folder of playbook files.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file to read as well.")] = None,
) -> None:
    """Read every playbook strictly, run the examples it carries, and read the policy.

    Exit code 1 names every fault with file and line.
    """
    faults: list[str] = []
    count = 0
    try:
        settings = load_settings()
        folder, policy = folder or settings.playbooks_dir, policy or settings.policy_file
        count = len(load_playbooks(folder).all)
    except Invalid as error:
        faults.append(str(error))
    try:
        if policy is not None:
            load_policy(policy)
    except Invalid as error:
        faults.append(str(error))
    if faults:
        err.print(escape("\n".join(faults)), style="red")
        raise typer.Exit(1)
    out.print(f"{count} playbooks in {folder}: every example holds. {policy} is sound.")


@app.command()
def plan(
    subject: Annotated[str, typer.Argument(metavar="INCIDENT | PLAYBOOK", help="An incident, or a playbook's id.")],
    target: Annotated[str, typer.Argument(help="For a playbook: KIND/NAMESPACE/NAME, or KIND/NAME for a node.")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Parameter, NAME=VALUE; may be repeated.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="kubeconfig of the cluster, if not the settings'.")] = None,
    context: Annotated[str, typer.Option(help="Context of the cluster, if not the settings'.")] = "",
) -> None:
    """Show the plan for an incident as it stands now, or what a playbook would do to an object.

    Every step is rehearsed by a server-side dry run; nothing is changed or journalled. An incident is planned for in
    its own cluster, and judged with the pauses and the last hours' actions; for that it is run where Midwatch runs.
    """
    try:
        settings = load_settings()
        where = (kubeconfig or settings.kubeconfig, context or settings.context, settings.in_cluster)
        if target:
            asyncio.run(_plan_for_object(subject, _target(target), _parameters(set_ or []), settings, where))
        elif set_:
            raise Invalid("--set belongs to a playbook and its target; an incident's parameters are in its report")
        else:
            with open_api() as api:
                incident = api.get(f"/api/incidents/{quote(subject, safe='')}", Incident)
            told = ClusterTarget(
                name=incident.cluster, kubeconfig=kubeconfig or settings.kubeconfig, context=context, first=True
            )
            asyncio.run(_plan_for_incident(incident, settings, told if kubeconfig or context else None))
    except MidwatchError as error:
        err.print(escape(str(error)), style="red")
        raise typer.Exit(1) from error


@app.command()
def shadow(output: Annotated[Output | None, typer.Option("--output", "-o", help="json or yaml.")] = None) -> None:
    """How playbooks in shadow mode did: what a person did when Midwatch only said what it would do."""
    with open_api() as api:
        if output:
            show_raw(api.raw("/api/shadows"), output)
            return
        found = api.get("/api/shadows", _Shadows).tallies
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("PLAYBOOK", "SAID", "SAME BY A PERSON", "OTHERWISE", "NOT NEEDED", "GOOD IN A ROW"):
        table.add_column(name, no_wrap=True)
    for each in found:
        numbers = (each.said, each.same, each.other, each.not_needed, each.streak)
        table.add_row(each.playbook, *(str(number) for number in numbers))
    out.print(table if found else "No playbook was in shadow mode yet.")


class _Shadows(msgspec.Struct, frozen=True):
    tallies: tuple[Tally, ...]


Where: TypeAlias = tuple[Path | None, str, bool]


async def _plan_for_object(
    playbook_id: str, target: ObjectRef, parameters: dict[str, str], settings: Settings, where: Where
) -> None:
    playbooks = load_playbooks(settings.playbooks_dir)
    playbook = playbooks.get(playbook_id)
    if playbook is None:
        raise NotFound(f"there is no playbook {playbook_id!r}; there are {', '.join(sorted(playbooks.ids))}")
    clock = SystemClock()
    async with open_kube(where[0], where[1], in_cluster=where[2]) as kube:
        seen = await LiveCluster(kube).observe(target)
        if seen is None:
            raise NotFound(f"{target} does not exist")
        made = compile_plan(playbook, seen, parameters)
        actions = ClusterActions(kube, clock)
        for number, step in enumerate(made.steps, 1):
            call = ActionCall.of(step, f"plan:{plan_digest(made)}", step.target.generation)
            diff = (await actions.rehearse(call)).diff
            _tell_step(number, msgspec.structs.replace(step, diff=diff), seen)
    context = Context(tier=Tier.SUPERVISED, confidence=1.0)
    _tell(made, decide(made, load_policy(settings.policy_file), context, clock.now()))


async def _plan_for_incident(incident: Incident, settings: Settings, told: ClusterTarget | None) -> None:
    async with open_preview(settings, told or own_cluster(settings, incident.cluster)) as preview:
        made, verdict = await preview.planning.preview(incident)
        for number, step in enumerate(made.steps, 1):
            _tell_step(number, step, await preview.live.observe(step.target.ref))
    _tell(made, verdict)


def _tell_step(number: int, step: PlanStep, seen: Observed | None) -> None:
    out.print(f"[bold]Step {number}[/] {escape(step.summary)}  [dim]risk {step.risk}[/]")
    for item in step.precheck:
        result = evaluate(item, Scene(step.target, seen, active=1))
        out.print(f"  before: {escape(result.sentence)} ({result.standing})")
    for line in step.diff.splitlines():
        out.print(f"  {escape(line)}", style="green" if line[:1] == "+" else "red" if line[:1] == "-" else "")
    for item in step.verify:
        what = f"{item.name} {item.query}".rstrip()
        out.print(f"  after: {escape(what)}, for {item.hold_s:g} s, within {item.timeout_s:g} s")


def _tell(made: Plan, verdict: Verdict) -> None:
    blast = made.blast
    touched = [f"{blast.pods} pods, {blast.ready_now} ready now"]
    touched += [f"{blast.endpoints_left} endpoints stay"] if blast.endpoints_left is not None else []
    touched += [f"{blast.pdb_headroom} may be away by budget"] if blast.pdb_headroom is not None else []
    out.print(f"Touches: {escape(', '.join((*touched, *blast.notes)))}")
    out.print(f"Undo: {escape(made.undo_summary)}")
    for warning in made.warnings:
        out.print(f"[yellow]{escape(warning)}[/]")
    out.print(f"Policy: [bold]{verdict.kind}[/] ({verdict.rule}). {escape(verdict.sentence)}")


def _target(text: str) -> ObjectRef:
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise Invalid(f"{text!r}: write KIND/NAMESPACE/NAME, or KIND/NAME for a node")
    return ObjectRef(parts[0], parts[-1], parts[1] if len(parts) == 3 else "")


def _parameters(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if wrong := [name for name, equals, _ in split if not equals or not name]:
        raise Invalid(f"--set {wrong[0]}: write NAME=VALUE")
    return {name: value for name, _, value in split}
