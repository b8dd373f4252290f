"""``python -m midwatch.sandbox``: serve a simulated cluster on a loopback port."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from midwatch.adapters.system import SystemClock
from midwatch.sandbox.objects import encode
from midwatch.sandbox.runtime import Sandbox, SandboxOptions, running_sandbox
from midwatch.sandbox.scenarios.stage import CATALOGUE

_EPILOG = f"""scenarios:
  demo             a healthy cluster in which, --after seconds from now, the crash loop starts
{chr(10).join(f"  {kind.name:<16} {kind.summary}" for kind in CATALOGUE.values())}

One line of JSON is printed when the server listens: {{"url": ..., "kubeconfig": ...}}. Then, in another terminal:
  export KUBECONFIG=<that path>
  kubectl get pods -A                    look around
  kubectl -n payments logs deploy/payment-api --previous
  kubectl -n payments rollout restart deploy/payment-api
The control API takes the same bearer token as the kubeconfig's first user:
  GET /sandbox/state, /sandbox/scenarios, /sandbox/mutations      POST, DELETE /sandbox/scenarios/NAME
  POST /sandbox/faults {{"verb":"patch","resource":"deployments","status":429,"times":2}} or {{"outage":5}}
  POST /sandbox/clock {{"speed":10}}       POST /sandbox/churn {{"rate":2000}}
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve until SIGTERM or Ctrl-C."""
    options = _parser().parse_args(arguments)
    return asyncio.run(_serve(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midwatch.sandbox",
        description="A simulated Kubernetes cluster that kubectl and any client can use. Nothing in it is real.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="loopback port (default: any free one)")
    parser.add_argument("--kubeconfig", type=Path, help="where to write the kubeconfig (default: a temporary file)")
    names = ["demo", "none", *CATALOGUE]
    parser.add_argument("--scenario", action="append", choices=names, help="what to start; may be repeated", default=[])
    parser.add_argument(
        "--after", type=float, default=5.0, metavar="S", help="start it S seconds from now (default: 5)"
    )
    parser.add_argument("--pods", type=int, default=0, metavar="N", help="seed N more pods with owners and nodes")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="let sandbox time run X times as fast")
    parser.add_argument("--empty", action="store_true", help="without the demo world")
    parser.add_argument("--with-parent", action="store_true", help="exit when stdin closes")
    return parser


async def _serve(options: argparse.Namespace) -> int:
    clock = SystemClock()
    kubeconfig = options.kubeconfig or Path(tempfile.mkdtemp(prefix="midwatch-sandbox-")) / "kubeconfig"
    wanted = SandboxOptions(
        port=options.port,
        kubeconfig=kubeconfig.absolute(),
        world=not options.empty,
        pods=options.pods,
        speed=options.speed,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with running_sandbox(wanted, lambda: clock.now().timestamp(), SystemRandom()) as sandbox:
            if options.with_parent:
                await _watch_stdin(stop)
            plans = _plan(sandbox, options)
            sys.stdout.buffer.write(encode({"url": sandbox.url, "kubeconfig": str(kubeconfig.absolute())}) + b"\n")
            sys.stdout.flush()
            await stop.wait()
            for plan in plans:
                plan.cancel()
    except OSError as error:
        sys.stderr.write(f"sandbox: cannot listen on 127.0.0.1:{options.port}: {error.strerror}\n")
        return 1
    return 0


def _plan(sandbox: Sandbox, options: argparse.Namespace) -> list[asyncio.Task[None]]:
    names = ["crashloop" if name == "demo" else name for name in options.scenario if name != "none"]
    return [asyncio.create_task(sandbox.start_later(name, options.after), name=f"scenario-{name}") for name in names]


async def _watch_stdin(stop: asyncio.Event) -> None:
    """Set ``stop`` once whoever started us is gone."""

    class _Parent(asyncio.Protocol):
        def connection_lost(self, _error: Exception | None) -> None:
            stop.set()

    await asyncio.get_running_loop().connect_read_pipe(_Parent, sys.stdin)


if __name__ == "__main__":
    sys.exit(main())
