"""A real Alertmanager, configured by the snippet we ship, fires into a running house; its resolve ends the incident."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.fixtures.houses import RunningHouse, eventually, free_port

ENDED = {"resolved", "closed"}
LABELS = {"alertname": "CheckoutErrorRateHigh", "severity": "warning", "namespace": "shop", "deployment": "checkout"}


@pytest.fixture
def program(tool: Callable[[str], str]) -> str:
    return tool("prometheus-alertmanager")


class Alertmanager:
    """Debian's Alertmanager with our receiver, its address and its waiting times changed and nothing else."""

    def __init__(self, program: str, snippet: Path, house: RunningHouse, folder: Path) -> None:
        config = yaml.safe_load(snippet.read_text())
        webhook = config["receivers"][0]["webhook_configs"][0]
        webhook["url"] = webhook["url"].replace("https://midwatch.example.com", house.url)
        webhook["http_config"]["authorization"]["credentials_file"] = str(house.state / "api-token")
        config["route"].update(group_wait="0s", group_interval="1s")
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        with (folder / "alertmanager.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    program,
                    f"--config.file={folder / 'alertmanager.yml'}",
                    f"--storage.path={folder / 'alertmanager'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(self._ready, within_s=20, what="ready Alertmanager")

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    def post(self, **times: str) -> None:
        alert = {"labels": LABELS, "annotations": {"summary": "One checkout in five fails"}, **times}
        httpx2.post(f"{self.url}/api/v2/alerts", json=[alert], timeout=5).raise_for_status()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def test_a_real_alertmanager_opens_and_ends_an_incident(
    house: RunningHouse, program: str, root: Path, tmp_path: Path
) -> None:
    snippet = root / "cluster_config/alertmanager/receiver.yml"
    alertmanager = Alertmanager(program, snippet, house, tmp_path)
    try:
        started = datetime.now(UTC).isoformat()
        alertmanager.post(startsAt=started)
        opened: dict[str, Any] = eventually(
            lambda: next((item for item in house.incidents() if "checkout" in str(item).lower()), None),
            within_s=30,
            what="incident from Alertmanager",
        )
        alertmanager.post(startsAt=started, endsAt=datetime.now(UTC).isoformat())
        ended = eventually(
            lambda: next(
                (one for one in house.incidents() if one["id"] == opened["id"] and one["state"] in ENDED), None
            ),
            within_s=60,
            what="end of the incident after the resolve",
        )
        assert ended["state"] in ENDED
        assert house.cluster.mutations() == []
    finally:
        alertmanager.stop()
