"""Questions without a model: from the message as a channel gives it to the whole answer, its rows included.

The chat as a gateway opens it, over the embedded stores and a sandbox, without Ray. Needs no house:
``python -m tests.bench.intents``.
"""

import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from random import Random

import psutil

from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.embedded.valkey import EmbeddedValkey
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.migrate import migrate
from midwatch.bootstrap import Resources, open_resources
from midwatch.bootstrap.chat import open_chat
from midwatch.domain.ids import IncidentId
from midwatch.domain.users import Role
from midwatch.sandbox.runtime import SandboxOptions, running_sandbox
from midwatch.services.chat.desk import Chat
from midwatch.services.messaging import IncomingMessage
from midwatch.settings import load_settings
from tests.bench.figures import percentile, say
from tests.fakes import samples
from tests.unit.edge.conftest import CountedBells

OPEN, _ROUNDS = 200, 40
_ALONE = ("help", "who am i", "incidents", "approvals", "silences", "who is on call?")
_LOOKS = ("list deployments in shop", "show error pods in shop")
_ids = itertools.count(1)


async def _told(resources: Resources, chat: Chat, text: str) -> tuple[float, float]:
    """Seconds on the clock and of this process' processor time."""
    message = IncomingMessage(
        id=f"m{next(_ids)}",
        user_id="U1",
        channel_type="slack",
        text=text,
        at=resources.clock.now(),
        conversation="C1",
        direct=True,
    )

    async def unseen(_: str) -> None: ...

    began, used = time.perf_counter(), time.process_time()
    reply = await chat.message(message, unseen)
    assert reply is not None, text
    return time.perf_counter() - began, time.process_time() - used


async def _fill(resources: Resources) -> None:
    for number in range(OPEN):
        events = [samples.opened(key=f"alpha|web-{number}"), samples.attached(number + 1), samples.report()]
        incident = IncidentId(resources.ids.new())
        await resources.stores.journal.open(incident, events, at=resources.clock.now(), by="bench")


async def _measure(folder: Path) -> None:
    postgres, valkey = (kind(folder / "state", folder / "run") for kind in (EmbeddedPostgres, EmbeddedValkey))
    postgres.start()
    valkey.start()
    try:
        database = Database(postgres.url)
        await migrate(database)
        await database.close()
        settings = load_settings(
            database_url=postgres.url,
            redis_url=valkey.url,
            kubeconfig=folder / "kubeconfig",
            state_dir=folder / "state",
            context="sandbox",
        )
        sandbox = SandboxOptions(kubeconfig=folder / "kubeconfig")
        async with (
            running_sandbox(sandbox, time.time, Random(1)),
            open_resources(settings, owner="bench") as resources,
            open_chat(resources, CountedBells()) as chat,
        ):
            await resources.users().add("ann", Role.OPERATOR)
            assert await resources.users().redeem(await resources.users().new_code("ann"), "slack:U1")
            await _fill(resources)
            for name, texts in (("intent", _ALONE), ("intent_with_tool", _LOOKS)):
                took = [await _told(resources, chat, text) for _ in range(_ROUNDS) for text in texts]
                walls, used = [wall for wall, _ in took], [cpu for _, cpu in took]
                about = {"questions": len(took), "open": OPEN, "load_1m": round(psutil.getloadavg()[0], 1)}
                say(f"{name}_p50", percentile(walls, 0.5) * 1000, "ms", **about)
                say(f"{name}_p95", percentile(walls, 0.95) * 1000, "ms", **about)
                say(f"{name}_processor_p95", percentile(used, 0.95) * 1000, "ms", **about)
    finally:
        valkey.stop()
        postgres.stop()


def measure() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="mwi-") as folder:
        for path in (Path(folder), Path(folder) / "state"):
            path.mkdir(exist_ok=True)
            path.chmod(0o711)
        asyncio.run(_measure(Path(folder)))


if __name__ == "__main__":
    measure()
