"""Probes and metrics."""

import httpx2

from serve.dependencies import Subsystem
from tests.unit.edge.conftest import House, Opener


async def test_health_names_every_subsystem(opened: Opener) -> None:
    answer = await (await opened(token="")).get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["subsystems"]["store"] == {"ok": True, "detail": "", "required": True}


async def test_a_lesser_part_away_degrades_and_a_required_one_takes_us_down(house: House, opened: Opener) -> None:
    client = await opened(token="")
    house.parts.append(Subsystem(name="model", ok=False, detail="api_key=abcdef123456 was refused"))
    health, ready = await client.get("/health"), await client.get("/ready")
    assert (health.status_code, health.json()["status"], ready.status_code) == (200, "degraded", 200)
    assert "abcdef123456" not in health.text
    house.parts.append(Subsystem(name="store", ok=False, detail="away", required=True))
    health, ready = await client.get("/health"), await client.get("/ready")
    assert (health.status_code, health.json()["status"]) == (503, "down")
    assert (ready.status_code, ready.json()) == (503, {"ready": False, "missing": ["store"]})


async def test_metrics_are_those_of_all_actors(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'midwatch_actor_up{actor="watcher"} 1.0' in answer.text


async def test_the_edge_counts_the_signals_it_took(house: House, api: httpx2.AsyncClient) -> None:
    alert = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-21T03:00:00Z"}
    await api.post("/api/alert/webhook", json={"version": "4", "alerts": [alert]})
    samples = {sample for family in house.edge.metrics.families() for sample in [str(family)] if "signals" in family[0]}
    assert any("'alertmanager'" in sample and "1.0" in sample for sample in samples)
