"""A flood through Ray Serve and from a real Alertmanager: what is refused comes again, what is accepted is stored."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
import yaml

from tests.fixtures.houses import RunningHouse, eventually, free_port, house_folder

LIMIT = 150
REFUSED = 'alertmanager_notification_requests_failed_total{integration="webhook"}'
START = "2026-11-21T03:00:00Z"


@pytest.fixture(scope="module")
def alertmanager_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def small_house(alertmanager_port: int) -> Iterator[RunningHouse]:
    """A house whose inbox is soon full, and that may ask the Alertmanager of this module."""
    settings = {
        "MIDWATCH_INBOX_LIMIT": str(LIMIT),
        "MIDWATCH_ALERTMANAGER_URL": f"http://127.0.0.1:{alertmanager_port}",
    }
    with house_folder() as folder:
        running = RunningHouse(folder, scenario="none", environment=settings)
        try:
            running.start()
            yield running
        finally:
            running.stop()


def alert(job: str, number: int) -> dict[str, Any]:
    """One that opens no incident: the door is tried here, not the rooms behind it."""
    labels = {
        "alertname": "Flood",
        "severity": "info",
        "batch": job,
        "lot": f"{number // 60}",
        "unit": f"{job}-{number}",
    }
    return {"labels": labels, "startsAt": START, "annotations": {"summary": "Water"}}


def stored(house: RunningHouse, job: str) -> dict[str, str]:
    """Ids of this batch by unit, from the house's own database."""

    async def ask() -> dict[str, str]:
        connection = await asyncpg.connect(house.dsn)
        try:
            rows = await connection.fetch(
                "SELECT id, data->'labels'->>'unit' AS unit FROM signals WHERE data->'labels'->>'batch' = $1", job
            )
        finally:
            await connection.close()
        return {row["unit"]: row["id"] for row in rows}

    return asyncio.run(ask())


def test_a_flood_is_shed_and_what_was_accepted_is_stored(small_house: RunningHouse) -> None:
    bodies = [
        {"version": "4", "status": "firing", "alerts": [alert("direct", 20 * body + each) for each in range(20)]}
        for body in range(60)
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: small_house.request("POST", "/api/alert/webhook", json=body), bodies))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {202, 503}, statuses
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 503)
    accepted = [told for answer in answers if answer.status_code == 202 for told in answer.json()["ids"]]
    assert sorted(accepted) == sorted(stored(small_house, "direct").values())
    refused = [body for body, answer in zip(bodies, answers, strict=True) if answer.status_code == 503]
    for body in refused:
        eventually(
            lambda sent=body: small_house.request("POST", "/api/alert/webhook", json=sent).is_success,
            within_s=60,
            what="room for a body that was refused before",
        )
    assert len(stored(small_house, "direct")) == 20 * 60


@contextmanager
def running_alertmanager(program: str, port: int, house: RunningHouse, folder: Path) -> Iterator[str]:
    """Each lot a body, as fast as it goes; of the batch ``cut``, which is one group, five alerts and no more."""
    webhook = {
        "url": f"{house.url}/api/alert/webhook",
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(house.state / "api-token")}},
    }
    config = {
        "route": {
            "receiver": "all",
            "group_by": ["batch", "lot"],
            "group_wait": "0s",
            "group_interval": "1s",
            "routes": [{"receiver": "few", "matchers": ['batch="cut"'], "group_by": ["batch"], "group_wait": "2s"}],
        },
        "receivers": [
            {"name": "all", "webhook_configs": [webhook]},
            {"name": "few", "webhook_configs": [{**webhook, "max_alerts": 5}]},
        ],
    }
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alertmanager'}",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx2.get(f"{url}/-/ready", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        eventually(ready, within_s=20, what="ready Alertmanager")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def test_what_alertmanager_was_refused_it_sends_again_and_what_it_left_out_is_fetched(
    small_house: RunningHouse, alertmanager_port: int, tool: Callable[[str], str], tmp_path: Path
) -> None:
    program = tool("prometheus-alertmanager")
    flood, cut = [alert("sent", number) for number in range(4 * LIMIT)], [alert("cut", number) for number in range(12)]
    with running_alertmanager(program, alertmanager_port, small_house, tmp_path) as url:
        httpx2.post(f"{url}/api/v2/alerts", json=flood + cut, timeout=20).raise_for_status()
        units = {item["labels"]["unit"] for item in flood}
        eventually(
            lambda: stored(small_house, "sent").keys() == units, within_s=120, what="all alerts stored", every_s=1
        )
        # Alertmanager sends a group again only when it changes: what is here besides five was fetched.
        eventually(lambda: len(stored(small_house, "cut")) == 12, within_s=60, what="the cut group stored", every_s=1)
        said = httpx2.get(f"{url}/metrics", timeout=5).text
    refused = [line for line in said.splitlines() if line.startswith(REFUSED)]
    assert refused, said
    assert float(refused[0].rsplit(" ", 1)[1]) > 0, "the flood was more than the house took at once"
