"""``midwatch playbooks``: check the playbook files and the policy, and show what a playbook would do."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from midwatch.adapters.catalog.playbooks import load_playbooks
from midwatch.adapters.catalog.policy import load_policy
from midwatch.adapters.mcp.kubernetes.actions import ClusterActions
from midwatch.adapters.mcp.kubernetes.api import open_kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.adapters.system import SystemClock
from midwatch.domain.checks import Scene, evaluate
from midwatch.domain.compiling import compile_plan
from midwatch.domain.errors import Invalid, MidwatchError, NotFound
from midwatch.domain.playbooks import Plan, plan_digest
from midwatch.domain.policy import Context, decide
from midwatch.domain.refs import ObjectRef
from midwatch.domain.signals import Tier
from midwatch.services.effects import ActionCall
from midwatch.settings import load_settings

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
    playbook: Annotated[str, typer.Argument(help="Id of a playbook, such as restart-workload.")],
    target: Annotated[str, typer.Argument(help="Object: KIND/NAMESPACE/NAME, or KIND/NAME for a node.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Parameter, NAME=VALUE; may be repeated.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="kubeconfig file.")] = None,
    context: Annotated[str, typer.Option(help="kubeconfig context.")] = "",
) -> None:
    """Show what a playbook would do to an object: a server-side dry run; nothing is changed."""
    try:
        settings = load_settings()
        asyncio.run(
            _plan(
                playbook,
                _target(target),
                _parameters(set_ or []),
                settings.playbooks_dir,
                settings.policy_file,
                kubeconfig or settings.kubeconfig,
                context or settings.context,
            )
        )
    except MidwatchError as error:
        err.print(escape(str(error)), style="red")
        raise typer.Exit(1) from error


async def _plan(
    playbook_id: str,
    target: ObjectRef,
    parameters: dict[str, str],
    folder: Path,
    policy_file: Path,
    kubeconfig: Path | None,
    context: str,
) -> None:
    playbooks = load_playbooks(folder)
    playbook = playbooks.get(playbook_id)
    if playbook is None:
        raise NotFound(f"there is no playbook {playbook_id!r}; there are {', '.join(sorted(playbooks.ids))}")
    clock = SystemClock()
    async with open_kube(kubeconfig, context) as kube:
        seen = await LiveCluster(kube).observe(target)
        if seen is None:
            raise NotFound(f"{target} does not exist")
        made = compile_plan(playbook, seen, parameters)
        actions = ClusterActions(kube, clock)
        for number, step in enumerate(made.steps, 1):
            out.print(f"[bold]Step {number}[/] {escape(step.summary)}  [dim]risk {step.risk}[/]")
            for item in step.precheck:
                result = evaluate(item, Scene(step.target, seen, active=1))
                out.print(f"  before: {escape(result.sentence)} ({result.standing})")
            diff = (await actions.rehearse(ActionCall.of(step, f"plan:{plan_digest(made)}"))).diff
            for line in diff.splitlines():
                out.print(f"  {escape(line)}", style="green" if line[:1] == "+" else "red" if line[:1] == "-" else "")
            for item in step.verify:
                out.print(f"  after: {item.name}, for {item.hold_s:g} s, within {item.timeout_s:g} s")
    _tell(made)
    verdict = decide(made, load_policy(policy_file), Context(tier=Tier.SUPERVISED, confidence=1.0), clock.now())
    out.print(f"Policy: [bold]{verdict.kind}[/] ({verdict.rule}). {escape(verdict.sentence)}")


def _tell(made: Plan) -> None:
    blast = made.blast
    touched = [f"{blast.pods} pods, {blast.ready_now} ready now"]
    touched += [f"{blast.endpoints_left} endpoints"] if blast.endpoints_left is not None else []
    touched += [f"{blast.pdb_headroom} may be away by budget"] if blast.pdb_headroom is not None else []
    out.print(f"Touches: {escape(', '.join(touched))}")
    out.print(f"Undo: {escape(made.undo_summary)}")
    for warning in made.warnings:
        out.print(f"[yellow]{escape(warning)}[/]")


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
