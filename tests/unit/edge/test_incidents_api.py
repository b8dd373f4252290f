"""The read API: lists, one incident, its timeline and the live stream of it."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import msgspec
import pytest

from midwatch.domain.incidents import Incident
from midwatch.domain.refs import Severity
from midwatch.services.ports import IncidentSummary
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House, Opener

ONE = "0192f0a0-1111-7000-8000-000000000001"
TWO = "0192f0a0-2222-7000-8000-000000000002"


async def crash_and_release(house: House) -> tuple[Incident, Incident]:
    journal = house.store.journal
    done = [scenes.opened(), scenes.diagnosed(), scenes.asked(), scenes.voted(), scenes.fixed()]
    first = await scenes.told(journal, ONE, *done)
    other = scenes.opened(title="billing does not start", namespace="payments", severity=Severity.WARNING)
    return first, await scenes.told(journal, TWO, other)


async def test_the_list_can_be_narrowed(house: House, api: httpx2.AsyncClient) -> None:
    await crash_and_release(house)

    async def listed(**params: Any) -> list[str]:
        return [row["id"] for row in (await api.get("/api/incidents", params=params)).json()["incidents"]]

    assert set(await listed()) == {ONE, TWO}
    assert await listed(open="true") == [TWO]
    assert await listed(namespace="shop") == [ONE]
    assert len(await listed(limit=1)) == 1


async def test_wrong_parameters_are_named_and_not_echoed(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/api/incidents", params={"limit": "<script>"})
    assert answer.status_code == 422
    assert "limit" in answer.json()["detail"]
    assert "<script>" not in answer.text


async def test_an_incident_has_all_its_fields_also_those_at_their_default(
    house: House, api: httpx2.AsyncClient
) -> None:
    first, second = await crash_and_release(house)
    document = (await api.get(f"/api/incidents/{TWO}")).json()
    assert document["state"] == "open"
    assert document["report"] is None
    assert set(document) == set(Incident.__struct_fields__)
    for incident in (first, second):
        body = (await api.get(f"/api/incidents/{incident.id}")).content
        assert msgspec.json.decode(body, type=Incident) == incident, "the CLI reads it back as it was"
    rows = (await api.get("/api/incidents")).json()["incidents"]
    assert msgspec.convert(rows, tuple[IncidentSummary, ...])[0].id in (ONE, TWO)


async def test_the_beginning_of_an_id_will_do_and_an_unknown_one_is_404(house: House, api: httpx2.AsyncClient) -> None:
    await crash_and_release(house)
    assert (await api.get(f"/api/incidents/{ONE[:18]}")).json()["id"] == ONE
    assert (await api.get("/api/incidents/ffffffff")).status_code == 404
    assert (await api.get("/api/incidents/ffffffff/timeline")).status_code == 404


async def test_signals_come_with_what_became_of_them(house: House, api: httpx2.AsyncClient) -> None:
    alert = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-21T03:00:00Z"}
    await api.post("/api/alert/webhook", json={"version": "4", "alerts": [alert]})
    (row,) = (await api.get("/api/signals")).json()["signals"]
    assert row["settled"] is False
    assert row["signal"]["condition"] == "A"
    assert row["signal"]["ends_at"] is None


def events(text: str) -> Iterator[tuple[str, str, Any]]:
    """``(id, name, data)`` of each server-sent event."""
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            yield fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])


async def test_a_finished_timeline_is_told_from_the_first_entry_to_the_end(
    house: House, api: httpx2.AsyncClient
) -> None:
    incident, _ = await crash_and_release(house)
    answer = await api.get(f"/api/incidents/{ONE}/timeline")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = list(events(answer.text))
    assert [event[0] for event in told[:-1]] == [str(seq) for seq in range(1, incident.seq + 1)]
    assert told[-1][1] == "end"
    assert told[0][2]["type"] == "incident-opened"
    assert told[0][2]["event"]["condition"] == "CrashLoopBackOff"
    assert all(data["title"] and data["reason"] and data["by"] for _, _, data in told[:-1])


@pytest.mark.parametrize("seen", [1, 4, 9])
async def test_a_stream_is_taken_up_where_it_was_cut(seen: int, house: House, api: httpx2.AsyncClient) -> None:
    incident, _ = await crash_and_release(house)
    answer = await api.get(f"/api/incidents/{ONE}/timeline", headers={"Last-Event-ID": str(seen)})
    assert [event[0] for event in events(answer.text)][:-1] == [str(seq) for seq in range(seen + 1, incident.seq + 1)]
    by_query = await api.get(f"/api/incidents/{ONE}/timeline", params={"after": seen})
    assert by_query.text == answer.text


async def test_who_has_seen_the_end_is_told_to_stay_away(house: House, api: httpx2.AsyncClient) -> None:
    incident, _ = await crash_and_release(house)
    answer = await api.get(f"/api/incidents/{ONE}/timeline", headers={"Last-Event-ID": str(incident.seq)})
    assert answer.status_code == 204


@pytest.mark.parametrize("nonsense", ["-1", "abc", "9" * 40, "1; DROP", "²"])
async def test_a_nonsensical_resume_point_means_from_the_start(
    nonsense: str, house: House, api: httpx2.AsyncClient
) -> None:
    await crash_and_release(house)
    answer = await api.get(f"/api/incidents/{ONE}/timeline", headers={"Last-Event-ID": nonsense.encode()})
    assert next(events(answer.text))[0] == "1"


async def test_a_live_stream_brings_each_entry_once_while_it_is_written(house: House, api: httpx2.AsyncClient) -> None:
    incident = await scenes.told(house.store.journal, ONE, scenes.opened())
    reading = asyncio.create_task(api.get(f"/api/incidents/{ONE}/timeline"))
    chapters = (scenes.diagnosed(), scenes.asked(), scenes.voted(), scenes.fixed())
    for event in (event for chapter in chapters for event in chapter):
        for _ in range(3):
            await asyncio.sleep(0)
        incident = await scenes.carried_on(house.store.journal, incident, [event])
    told = list(events((await asyncio.wait_for(reading, 2)).text))
    assert [event[0] for event in told[:-1]] == [str(seq) for seq in range(1, incident.seq + 1)]
    assert told[-2][2]["type"] == "resolved"


async def test_a_quiet_stream_beats_and_outlives_the_store(house: House, opened: Opener) -> None:
    house.change(limits=replace(house.limits, heartbeat_s=2.0, poll_s=0.5))
    incident = await scenes.told(house.store.journal, ONE, scenes.opened())
    api = await opened()
    reading = asyncio.create_task(api.get(f"/api/incidents/{ONE}/timeline"))
    for away in (False, True, False):
        house.break_store(away=away)
        async with asyncio.timeout(2):
            target = house.clock.at + timedelta(seconds=10)
            while house.clock.at < target:  # the stream's own waiting moves the clock
                await asyncio.sleep(0)
    await scenes.carried_on(house.store.journal, incident, [*scenes.diagnosed(), *scenes.asked(), *scenes.fixed()])
    text = (await asyncio.wait_for(reading, 2)).text
    assert ": still here" in text
    assert [event[0] for event in events(text)][:-1] == [str(seq) for seq in range(1, 14)]


async def test_the_timeline_is_also_one_document(house: House, api: httpx2.AsyncClient) -> None:
    incident, _ = await crash_and_release(house)
    document = (await api.get(f"/api/incidents/{ONE}/timeline", params={"follow": "false", "after": 2})).json()
    assert document["incident"] == ONE
    assert [entry["seq"] for entry in document["entries"]] == list(range(3, incident.seq + 1))
