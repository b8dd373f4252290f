"""The generic door: any alert in a few fields, other senders' bodies too, and the types that are known."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.domain.errors import Invalid
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Signal, SignalStatus
from serve.schemas.generic import read_any
from serve.schemas.incoming import Reading
from serve.schemas.meaning import meaning_of_alert
from tests.unit.edge.conftest import House, Opener
from tests.unit.edge.scenes import T0

ALERT: dict[str, Any] = {
    "alert_type": "NamespaceTerminating",
    "severity": "critical",
    "environment": "production",
    "cluster": "eu-1",
    "namespace": "shop",
    "pod": "web-1",
    "message": "The namespace has been terminating for an hour\nFinalizers are left.",
    "runbook_reference": "https://runbooks.example.com/terminating.md",
    "timestamp": "2026-11-21T03:00:00Z",
}


def but(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**ALERT, **changes}.items() if value is not ...}


async def stored(house: House) -> list[Signal]:
    return [row.signal for row in reversed(await house.store.inbox.recent(limit=1000))]


async def test_a_posted_alert_is_queued_with_its_id(api: httpx2.AsyncClient, house: House) -> None:
    answer = await api.post("/alerts", json=ALERT)
    (signal,) = await stored(house)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted", "queued": 1, "alert_ids": [signal.id]})
    assert house.bells.rung == ["signals"]
    assert (signal.source, signal.cluster, signal.condition) == ("post", "eu-1", "NamespaceTerminating")
    assert (signal.severity, signal.subject) == (Severity.CRITICAL, ObjectRef("Pod", "web-1", "shop"))
    assert signal.title == "The namespace has been terminating for an hour"
    assert signal.summary.endswith("Finalizers are left.")
    assert signal.labels["environment"] == "production"
    assert signal.annotations == {"runbook_url": ALERT["runbook_reference"]}
    assert signal.starts_at == datetime(2026, 11, 21, 3, tzinfo=UTC)


async def test_the_type_alone_will_do(api: httpx2.AsyncClient, house: House) -> None:
    assert (await api.post("/alerts", json={"alert_type": "DiskFull"})).status_code == 202
    (signal,) = await stored(house)
    assert (signal.condition, signal.title, signal.cluster) == ("DiskFull", "DiskFull", "lab")
    assert (signal.severity, signal.starts_at) == (Severity.WARNING, house.clock.now())


async def test_unset_fields_may_be_null_and_unknown_ones_are_passed_over(api: httpx2.AsyncClient, house: House) -> None:
    sent = but(pod=None, message=None, timestamp=None, runbook_reference=None, context={"deep": [1, 2]})
    assert (await api.post("/alerts", json=sent)).status_code == 202
    assert (await stored(house))[0].subject == ObjectRef("Namespace", "shop")


async def test_runbook_is_another_name_of_runbook_reference(api: httpx2.AsyncClient, house: House) -> None:
    assert (await api.post("/alerts", json=but(runbook_reference=..., runbook="https://r.example.com/a"))).is_success
    assert (await stored(house))[0].annotations["runbook_url"] == "https://r.example.com/a"


@pytest.mark.parametrize(
    "given_time",
    ["2026-11-21T04:00:00+01:00", "2026-11-21T03:00:00", 1795230000, 1795230000000, 1795230000000000, 1795230000.0],
)
async def test_one_instant_in_every_way_it_is_written(
    given_time: object, api: httpx2.AsyncClient, house: House
) -> None:
    assert (await api.post("/alerts", json=but(timestamp=given_time))).status_code == 202
    assert (await stored(house))[0].starts_at == datetime(2026, 11, 21, 3, tzinfo=UTC)


async def test_the_same_alert_twice_is_one_however_it_is_worded(api: httpx2.AsyncClient, house: House) -> None:
    first = await api.post("/alerts", json=ALERT)
    again = await api.post("/alerts", json=but(message="still terminating", severity="warning"))
    assert (again.status_code, again.json()) == (202, {**first.json(), "queued": 0})
    assert len(await stored(house)) == 1


async def test_another_place_is_another_alert(api: httpx2.AsyncClient, house: House) -> None:
    for sent in (ALERT, but(namespace="billing"), but(environment="staging"), but(cluster="eu-2"), but(pod=...)):
        assert (await api.post("/alerts", json=sent)).json()["queued"] == 1
    assert len({signal.identity for signal in await stored(house)}) == 5


async def test_new_trouble_without_a_time_is_never_taken_for_old(api: httpx2.AsyncClient, house: House) -> None:
    await api.post("/alerts", json=but(timestamp=...))
    house.clock.at = house.clock.at.replace(hour=9)
    assert (await api.post("/alerts", json=but(timestamp=...))).json()["queued"] == 1


async def test_resolved_without_a_time_ends_what_fires(api: httpx2.AsyncClient, house: House) -> None:
    await api.post("/alerts", json=but(timestamp=...))
    house.clock.at = house.clock.at.replace(hour=9)
    assert (await api.post("/alerts", json=but(timestamp=..., status="resolved"))).json()["queued"] == 1
    firing, resolved = await stored(house)
    assert (firing.episode, resolved.status) == (resolved.episode, SignalStatus.RESOLVED)


BAD = {
    "nothing": {},
    "no type": but(alert_type=...),
    "empty type": but(alert_type=""),
    "type is a number": but(alert_type=7),
    "endless type": but(alert_type="x" * 300),
    "unknown severity": but(severity="fatal"),
    "unknown status": but(status="pending"),
    "time is a word": but(timestamp="yesterday"),
    "time before all": but(timestamp=-1),
    "time beyond all": but(timestamp=10**30),
    "namespace is a list": but(namespace=["shop"]),
    "a list": [ALERT],
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD.keys())
async def test_a_wrong_alert_is_refused_with_the_field(sent: object, api: httpx2.AsyncClient, house: House) -> None:
    answer = await api.post("/alerts", json=sent)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith("not an alert")
    assert await stored(house) == []


@pytest.mark.parametrize("number", ["1e400", "NaN", "-1e400", "Infinity"])
async def test_a_number_that_is_none_is_refused(number: str, api: httpx2.AsyncClient) -> None:
    sent = f'{{"alert_type": "A", "timestamp": {number}}}'.encode()
    answer = await api.post("/alerts", content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


async def test_bodies_of_alertmanager_and_grafana_are_taken_here_too(api: httpx2.AsyncClient, house: House) -> None:
    one = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-21T03:00:00Z"}
    answer = await api.post("/alerts", json={"version": "4", "alerts": [one, {**one, "labels": {"alertname": "B"}}]})
    assert (answer.status_code, answer.json()["queued"]) == (202, 2)
    assert answer.json()["alert_ids"] == [signal.id for signal in await stored(house)]
    legacy = {"ruleName": "C", "ruleId": 3, "state": "alerting"}
    assert (await api.post("/alerts", json=legacy)).json()["queued"] == 1
    assert sorted(signal.source for signal in await stored(house)) == ["alertmanager", "alertmanager", "grafana"]


async def test_a_stranger_is_not_heard(opened: Opener, house: House) -> None:
    stranger = await opened(token="")
    assert (await stranger.post("/alerts", json=ALERT)).status_code == 401
    assert (await stranger.get("/alert-types")).status_code == 401
    assert await stored(house) == []


async def test_the_known_types_are_told_and_understood(api: httpx2.AsyncClient, house: House) -> None:
    types = (await api.get("/alert-types")).json()
    assert types == sorted(set(types))
    assert {"KubePodCrashLooping", "CrashLoopBackOff", "NodeNotReady"} <= set(types)
    for name in ("KubePodCrashLooping", "CrashLoopBackOff"):
        await api.post("/alerts", json=but(alert_type=name))
    by_alert, by_condition = await stored(house)
    assert by_alert.condition == by_condition.condition == "CrashLoopBackOff"
    assert by_alert.labels["family"] == by_condition.labels["family"]
    assert by_alert.incident_key == by_condition.incident_key


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers())


@given(
    sent=st.dictionaries(st.sampled_from([*ALERT, "status", "runbook"]), _VALUES).map(lambda body: {**ALERT, **body})
)
@settings(max_examples=60, deadline=None)
def test_any_values_make_a_signal_or_a_refusal(sent: dict[str, Any]) -> None:
    reading = Reading(T0, lambda: "s", "lab", meaning_of_alert)
    try:
        (signal,) = read_any(json.dumps(sent).encode(), reading).signals
    except Invalid:
        return  # nothing else may be raised
    assert signal.starts_at.tzinfo is not None
    assert "\0" not in repr(signal)
