"""The one starter of Ray, actors and Serve: ``python -m serve.up``, run by ``midwatch up`` with Ray's environment set.

Stores, sandbox and Ray start side by side; then the supervisor brings the actors up, and Serve the edge. Runs in the
foreground until SIGINT or SIGTERM, keeps the embedded stores and the sandbox alive meanwhile, and ends them in order.
"""

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import serve as ray_serve
from ray.exceptions import RayError
from rich.console import Console
from rich.markup import escape

from actors import clients, names
from actors.roster import SUPERVISOR, engage, roster
from midwatch.domain.errors import MidwatchError, Permanent
from midwatch.house import House, open_house
from midwatch.processes import HouseLock, Ledger
from midwatch.settings import Settings, child_environment, load_settings
from midwatch.telemetry import set_up_logging
from midwatch.tokens import token_in
from serve.ray_head import RayLate, RayLost, first_lost, head_processes

log = logging.getLogger(__name__)
out = Console(highlight=False, soft_wrap=True)  # paths and commands are copied: they must stay on one line

APPLICATION = "midwatch"
_LEDGER_S = 2.0
_READY_S = 60.0
_STARTS = 3


def main() -> int:
    """Start, stay, stop; start anew if Ray's head dies. The exit status: 0 after a clean end, 1 if starting failed."""
    began = time.monotonic()
    late = int(sys.argv[1]) if sys.argv[1:] else 0  # starts in a row for which Ray was too slow
    environment = child_environment({})  # before Ray adds to it
    try:
        settings = load_settings()
        with HouseLock(settings.state_dir), ExitStack() as stack:
            _run(settings, stack, began)
    except MidwatchError as error:
        Console(stderr=True, highlight=False).print(f"midwatch: {escape(str(error))}", style="red")
        return 1
    except RayLost as loss:
        late = late + 1 if isinstance(loss, RayLate) else 0
        if late >= _STARTS:
            Console(stderr=True, highlight=False).print(f"midwatch: {loss} Given up after {late} tries.", style="red")
            return 1
        out.print(f"\n[red]{loss}[/] Starting anew; work goes on where it stood.")
        os.execve(sys.executable, [sys.executable, "-m", "serve.up", str(late)], environment)  # noqa: S606  ourselves
    except KeyboardInterrupt:
        return 130
    return 0


def _run(settings: Settings, stack: ExitStack, began: float) -> None:
    warnings.filterwarnings("ignore", module="ray")  # Ray's own deprecations are not for our users
    set_up_logging("up", level=settings.log_level, folder=settings.log_dir)
    ledger = Ledger(settings.state_dir)
    if ended := ledger.reap():
        out.print(f"  ended {len(ended)} processes that an earlier run left behind")
    _refuse_taken_port(settings)
    stack.callback(_leave_nothing, ledger)  # first in, hence last: after all else was asked to end
    token, fresh = token_in(settings.token_file)
    with step("stores, sandbox and Ray", began), ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_house, settings)
        try:
            dashboard = _start_ray(settings, stack)
        finally:
            house = opening.result()
            stack.callback(house.close)
    ledger.record(house.processes(), "store or sandbox")
    # Here rather than by the supervisor, which comes last and from then on looks after them.
    for name, post in {**roster(house.settings), names.SUPERVISOR: SUPERVISOR}.items():
        engage(name, post, house.settings)
    cluster = house.settings.clusters[0]
    with step(f"watching {cluster}", began) as later:
        if not asyncio.run(_watching(cluster)):
            later(f"[yellow]the watcher of {cluster} has not listed its cluster yet:[/] see `midwatch status`")
    with step("edge", began):
        _start_edge(house.settings)
    if lost := asyncio.run(_stay(house, ledger, dashboard, token, fresh)):
        log.error("Ray is lost, starting anew", extra={"lost": lost})
        raise RayLost(f"Ray's {lost} is gone.")


def _leave_nothing(ledger: Ledger) -> None:
    """End what outlives its parents: Ray's agents stay for up to a minute after Ray is gone."""
    ledger.record(psutil.Process().children(recursive=True))
    ledger.reap()


@contextmanager
def step(what: str, began: float) -> Iterator[Callable[[str], None]]:
    """Say what is being started, and when it stood, or whatever is said instead."""
    instead: list[str] = []
    with out.status(f"Starting: {what}…"):
        yield instead.append
    for said in instead or [f"[green]✓[/] {what} [dim]{time.monotonic() - began:.1f} s[/]"]:
        out.print(f"  {said}")


async def _watching(cluster: str) -> bool:
    """Wait until the watcher has listed its cluster; whether it did in time."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if (await clients.health(names.watcher(cluster)) or {}).get("watching"):
            return True
        await asyncio.sleep(0.1)
    return False


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise Permanent(
                f"port {settings.port} on {settings.host} cannot be used ({error.strerror}): "
                "end what listens there, or choose another with --port"
            ) from error


def _start_ray(settings: Settings, stack: ExitStack) -> str:
    """Start Ray, or join the cluster there is; where its dashboard is, ``host:port``, empty where there is none."""
    if settings.ray_address:
        context: Any = ray.init(
            address=settings.ray_address, namespace=names.NAMESPACE, log_to_driver=False, logging_level=logging.ERROR
        )
    else:
        # A short path: Ray puts unix sockets below it. Sessions of earlier runs are worth nothing, and never cleaned.
        home = settings.runtime_dir / "ray"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True, exist_ok=True)
        try:
            context = _init_local(settings, home)
        except Exception as error:
            if RayLate.is_meant_by(error):
                raise RayLate from error
            raise
    stack.push(_stop_ray)
    return context.dashboard_url or ""


def _init_local(settings: Settings, home: Path) -> Any:
    return ray.init(
        address="local",
        num_cpus=max(2, psutil.cpu_count() or 2),
        resources={"head": 1, "rca": max(4, settings.rca_workers)},
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        dashboard_port=_free_port(settings.dashboard_port),
        object_store_memory=80_000_000,
        log_to_driver=False,
        logging_level=logging.ERROR,
        namespace=names.NAMESPACE,
        _temp_dir=str(home),
    )


def _free_port(wanted: int) -> int:
    """``wanted``, or the next port that nobody uses: the dashboard is a convenience, no reason not to start."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    return wanted


def _stop_ray(kind: type[BaseException] | None, _error: object, _trace: object) -> None:
    if kind is RayLost:
        return  # it would ask who is gone; what is left of it is ended by pid
    with out.status("Stopping Ray…"):
        ray.shutdown()


def _start_edge(settings: Settings) -> None:
    from serve.app import build  # the edge's own imports wait until Ray is up: they are then shared with the replica

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        ray_serve.start(http_options={"host": settings.host, "port": settings.port})
        ray_serve.run(
            build({"settings": settings}),
            name=APPLICATION,
            route_prefix="/",
            logging_config={"enable_access_log": False, "log_level": "WARNING"},
        )
    except (RayError, RuntimeError, TimeoutError) as error:
        log.exception("the edge did not start")
        first_line = str(error).partition("\n")[0]
        raise Permanent(
            f"the HTTP edge did not start ({first_line}); start again, logs are in {settings.log_dir}"
        ) from error


async def _stay(house: House, ledger: Ledger, dashboard: str, token: str, fresh: bool) -> str:
    """Keep what this process owns until asked to end (``""``), or until Ray's head dies: which process of it did."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)  # after ray.init, which installs its own
    _announce(house.settings, dashboard, token, fresh)
    async with _kept(house, ledger):
        asked, lost = asyncio.create_task(ending.wait()), asyncio.create_task(first_lost(head_processes()))
        await asyncio.wait({asked, lost}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        lost.cancel()
    if not ending.is_set():
        return lost.result()
    out.print("\nStopping. State is kept; the next start goes on where this one ended.")
    return ""


@asynccontextmanager
async def _kept(house: House, ledger: Ledger) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in (house.keep(), house.play(), _write_ledger(house, ledger))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _write_ledger(house: House, ledger: Ledger) -> None:
    """Record whatever runs below this process, so that the next start can end what a crash of this one leaves."""
    me = psutil.Process()
    while True:
        ledger.record(await asyncio.to_thread(me.children, recursive=True))
        ledger.record(house.processes(), "store or sandbox")
        await asyncio.sleep(_LEDGER_S)


def _announce(settings: Settings, dashboard: str, token: str, fresh: bool) -> None:
    """Say where to look."""
    out.print()
    out.print(f"  Console    {settings.url}")
    out.print(f"  Token      {token}" if fresh else f"  Token      in {settings.token_file}")
    if dashboard:
        where = "Ray's dashboard, as its head sees it" if settings.ray_address else "Ray's dashboard"
        out.print(f"  Actors     http://{dashboard} ({where})")
    if settings.watches_sandbox:
        out.print(f"  Sandbox    kubectl --kubeconfig {settings.sandbox_kubeconfig} get pods -A")
        out.print(f"\n  Something breaks in about {settings.sandbox_after_s:.0f} s. Watch it in the console, or:")
    command = Path(sys.executable).parent / "midwatch"
    shown = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
    out.print(f"\n  {shown} incidents --watch\n  {shown} approve ID\n\n  Ctrl-C ends it; state is kept.")


if __name__ == "__main__":
    sys.exit(main())
