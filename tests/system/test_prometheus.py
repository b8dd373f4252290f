"""Enrichment beside a real Prometheus: every shipped query is taken, and a full container speaks for itself."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from midwatch.adapters.catalog.enrichment import load_questions
from midwatch.adapters.prometheus.client import PrometheusClient
from midwatch.domain.enrichment import Scope, filled
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident
from midwatch.domain.refs import ObjectRef
from midwatch.services.enriching import Enriching

QUESTIONS = load_questions(Path(__file__).parents[2] / "rules" / "enrichment" / "prometheus.yaml")
AT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
LABELS = 'namespace="shop",pod="web-1",container="app"'


@pytest.fixture
def url(tool: Callable[[str], str], short_path: Path) -> Iterator[str]:
    """Prometheus over a few minutes of one pod that fills its memory."""
    lines = ["# TYPE container_memory_working_set_bytes gauge"]
    stamps = [(AT - timedelta(seconds=300 - 15 * step)).timestamp() for step in range(25)]
    for step, stamp in enumerate(stamps):
        lines.append(f"container_memory_working_set_bytes{{{LABELS}}} {min(250 + step * 14, 500) * 2**20} {stamp}")
    lines.append("# TYPE kube_pod_container_resource_limits gauge")
    lines += [f'kube_pod_container_resource_limits{{{LABELS},resource="memory"}} {512 * 2**20} {s}' for s in stamps]
    (short_path / "metrics.txt").write_text("\n".join([*lines, "# EOF", ""]))
    (short_path / "prometheus.yml").write_text("scrape_configs: []\n")
    blocks = ["tsdb", "create-blocks-from", "openmetrics", str(short_path / "metrics.txt"), str(short_path / "data")]
    subprocess.run([tool("promtool"), *blocks], check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [tool("prometheus"), f"--config.file={short_path}/prometheus.yml"]
    command += [f"--storage.tsdb.path={short_path}/data", f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class Hands:
    def now(self) -> datetime:
        return AT + timedelta(minutes=2)


async def test_beside_a_real_one(url: str) -> None:
    async with PrometheusClient(url, timeout_s=20) as client:
        for _ in range(100):
            try:
                assert await client.values("1 + 1", AT) == (2.0,)
                break
            except Transient:  # it listens before it has read its blocks
                time.sleep(0.2)
        odd = Scope(start=AT, end=AT, namespace='a"b\\', pods="web\\.x|y", node="n")
        for question in QUESTIONS:
            assert await client.query_range(filled(question.expr, odd), AT, AT, step_s=15) == ()
        with pytest.raises(Permanent, match="parse error"):
            await client.query("up{")
        pod = ObjectRef("Pod", "web-1", "shop")
        incident = Incident(id=IncidentId("i"), condition="OOMKilled", subject=pod, owner=pod, began_at=AT)
        looks = await Enriching(lambda: QUESTIONS, Hands(), ranges=client, limit_s=20).enrich(incident)
    assert all(look.ok for look in looks)
    (claim,) = [look.claim for look in looks if look.claim]
    assert claim.startswith("Memory of its limit: 98 % at ")
    assert claim.endswith("in web-1/app")
