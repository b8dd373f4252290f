"""``midwatch up``, ``midwatch down``: start the house in the foreground, end one that runs."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.markup import escape

from midwatch.domain.errors import Invalid, MidwatchError
from midwatch.processes import Ledger, running_pid
from midwatch.settings import Settings, child_environment, load_settings
from midwatch.tokens import token_in

err = Console(stderr=True)
out = Console()


def ray_environment(settings: Settings) -> dict[str, str]:
    """What Ray reads at import, in every process it starts: hence set before the starter runs."""
    token_in(settings.ray_token_file)
    fixed = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",  # even the opt-out is reported once otherwise
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(settings.ray_token_file),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_worker_niceness": "0",
        "RAY_preload_python_modules": "actors.warming",
        "RAY_memory_monitor_refresh_ms": "0",  # it kills small control actors on a full laptop
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "2",
        # A dead proxy fails its checks at once, and is replaced after three. Those of a live one may take their time:
        # on a busy machine a proxy answers late, and one given up on while it starts makes the whole start fail.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.2",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "5",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "10",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "OMP_NUM_THREADS": "1",
    }
    if not settings.ray_address:
        # On Linux too: every port of Ray on 127.0.0.1. One machine only, so not when a cluster is joined.
        fixed["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    return fixed


def up(
    context: Annotated[
        str, typer.Option(help="Watch the cluster of this kubeconfig context instead of the sandbox.")
    ] = "",
    kubeconfig: Annotated[Path | None, typer.Option(help="kubeconfig to read (default: the usual places).")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API and the console.")] = None,
    scenario: Annotated[str, typer.Option(help="What breaks in the sandbox.")] = "",
) -> None:
    """Start Midwatch in the foreground until Ctrl-C.

    Without --context a simulated cluster is started and something in it breaks after a few seconds. With --context the
    real cluster is watched; nothing there is changed without an approval.
    """
    chosen = {
        "MIDWATCH_CONTEXT": context,
        "MIDWATCH_KUBECONFIG": str(kubeconfig.resolve()) if kubeconfig else "",
        "MIDWATCH_PORT": str(port) if port else "",
        "MIDWATCH_SANDBOX_SCENARIO": scenario,
    }
    extra = {name: value for name, value in chosen.items() if value}
    try:
        settings = load_settings(**{name.removeprefix("MIDWATCH_").lower(): value for name, value in extra.items()})
    except Invalid as error:
        err.print(escape(str(error)), style="red", highlight=False)
        raise typer.Exit(2) from error
    environment = child_environment({**extra, **ray_environment(settings)})
    os.execve(sys.executable, [sys.executable, "-m", "serve.up"], environment)  # noqa: S606  our own interpreter


def down(
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for a clean end before killing.")] = 20.0,
    purge: Annotated[
        bool, typer.Option("--purge", help="Then delete everything that was kept on this machine.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --purge: do not ask.")] = False,
) -> None:
    """End the Midwatch of this state directory, and whatever an earlier crash left behind. State is kept.

    With --purge all of it is deleted: incidents, journals, the audit trail, tokens, logs. `midwatch backup` first.
    """
    settings = load_settings()
    if purge and not yes:
        typer.confirm(f"Delete everything that Midwatch keeps in {settings.state_dir}?", abort=True)
    pid = running_pid(settings.state_dir)
    if pid is not None:
        process = psutil.Process(pid)
        process.send_signal(signal.SIGTERM)
        with err.status(f"Waiting for process {pid} to end…"):
            gone, _ = psutil.wait_procs([process], timeout=wait_s)
        if not gone:
            process.kill()
        time.sleep(0.1)
    ended = Ledger(settings.state_dir).reap()
    if purge:
        _purge(settings)
    elif pid is None and not ended:
        out.print("Midwatch was not running.")
    else:
        out.print("Midwatch is down. State is kept in " + escape(str(settings.state_dir)), highlight=False)


def _purge(settings: Settings) -> None:
    from midwatch.bootstrap.keeping import purge  # brings the database driver, which `up` does not need

    try:
        left = purge(settings)
    except MidwatchError as error:
        err.print(escape(str(error)), style="red", highlight=False)
        raise typer.Exit(1) from error
    kept = f" Not ours, and still there: {', '.join(path.name for path in left)}." if left else ""
    out.print(f"Everything kept in {escape(str(settings.state_dir))} is deleted.{escape(kept)}", highlight=False)
    if settings.database_url or settings.redis_url:
        out.print("Your own database and Redis were not touched.")
