"""``midwatch sandbox``: run the simulated cluster alone, to try kubectl, rules and playbooks on it."""

import os
import sys
from typing import Annotated

import typer


def sandbox(
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed on: see `midwatch sandbox -- --help`.")] = None,
) -> None:
    """Run the simulated Kubernetes cluster alone in the foreground; it prints its address and kubeconfig."""
    os.execv(sys.executable, [sys.executable, "-m", "midwatch.sandbox", *(arguments or [])])  # noqa: S606
