"""Alerts in: what is stored, what is refused, and that a refusal stores nothing."""

import asyncio
import gzip
import json
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.domain.errors import Invalid
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.signals import Signal, SignalStatus
from serve.schemas.alertmanager import parse_alerts
from serve.schemas.incoming import label_fingerprint
from serve.schemas.meaning import generic_meaning, meaning_of_alert, severity_of
from tests.unit.edge.conftest import House, Opener

URL = "/api/alert/webhook"


def alert(name: str = "HighLatency", **changes: Any) -> dict[str, Any]:
    labels = {"alertname": name, "severity": "critical", "namespace": "shop", "deployment": "checkout"}
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"{name} of checkout", "description": "p99 is above 2 s"},
        "startsAt": "2026-11-21T03:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"fp-{name}",
        "generatorURL": "http://prometheus.test/graph",
        **changes,
    }


def body(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "receiver": "midwatch", "alerts": list(alerts), **changes}


async def stored(house: House) -> list[Signal]:
    return [row.signal for row in reversed(await house.store.inbox.recent(limit=1000))]


async def test_an_alert_becomes_a_signal_and_the_rule_engine_is_rung(api: httpx2.AsyncClient, house: House) -> None:
    answer = await api.post(URL, json=body(alert()))
    assert answer.status_code == 202
    (signal,) = await stored(house)
    assert answer.json() == {"accepted": 1, "repeated": 0, "ids": [signal.id]}
    assert house.bells.rung == ["signals"]
    assert signal.source == "alertmanager"
    assert signal.cluster == "lab"
    assert signal.condition == "HighLatency"
    assert signal.severity is Severity.CRITICAL
    assert signal.subject == signal.owner == ObjectRef("Deployment", "checkout", "shop")
    assert signal.title == "HighLatency of checkout"
    assert signal.summary == "p99 is above 2 s"
    assert signal.starts_at == datetime(2026, 11, 21, 3, 0, 0, 123457, tzinfo=UTC), "rounded to microseconds"
    assert signal.ends_at is None
    assert signal.fingerprint == "fp-HighLatency"


async def test_a_repeat_is_counted_and_stored_once(api: httpx2.AsyncClient, house: House) -> None:
    first = await api.post(URL, json=body(alert()))
    again = await api.post(URL, json=body(alert(), receiver="another receiver"))
    assert again.status_code == 200
    assert again.json() == {"accepted": 0, "repeated": 1, "ids": first.json()["ids"]}
    assert len(await stored(house)) == 1
    assert house.bells.rung == ["signals"], "a repeat is no reason to ring"


async def test_each_alert_has_its_own_status(api: httpx2.AsyncClient, house: House) -> None:
    over = alert("B", status="resolved", endsAt="2026-11-21T03:03:00+01:00")
    assert (await api.post(URL, json=body(alert("A"), over))).json()["accepted"] == 2
    firing, resolved = await stored(house)
    assert (firing.status, resolved.status) == (SignalStatus.FIRING, SignalStatus.RESOLVED)
    assert resolved.ends_at == datetime(2026, 11, 21, 2, 3, tzinfo=UTC)


async def test_an_empty_body_of_alerts_is_fine(api: httpx2.AsyncClient, house: House) -> None:
    answer = await api.post(URL, json=body())
    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "repeated": 0, "ids": []})
    assert house.bells.rung == []


async def test_the_bodys_status_counts_where_an_alert_has_none(api: httpx2.AsyncClient, house: House) -> None:
    bare = {name: value for name, value in alert().items() if name != "status"}
    assert (await api.post(URL, json=body(bare, status="resolved"))).status_code == 202
    assert [signal.status for signal in await stored(house)] == [SignalStatus.RESOLVED]


async def test_grafana_is_told_from_its_own_fields(api: httpx2.AsyncClient, house: House) -> None:
    grafana = body(alert(silenceURL="http://grafana.test/silence", values=None, valueString=""), version="1", orgId=1)
    assert (await api.post(URL, json=grafana)).status_code == 202
    assert [signal.source for signal in await stored(house)] == ["grafana"]


async def test_version_3_and_nulls_where_a_template_has_nothing(api: httpx2.AsyncClient, house: House) -> None:
    old = alert(annotations=None, endsAt=None)
    del old["fingerprint"]
    sent = body(old, version="3", groupKey=5615590933959184469, truncatedAlerts=None, receiver=None, groupLabels=None)
    assert (await api.post(URL, json=sent)).status_code == 202
    (signal,) = await stored(house)
    assert (signal.title, signal.fingerprint) == ("HighLatency", label_fingerprint(old["labels"]))


def legacy(state: str = "alerting", **changes: Any) -> dict[str, Any]:
    """What Grafana sent before version 9."""
    match = {"metric": "requests", "value": 122}
    matches = [match | {"tags": {"namespace": "shop", "deployment": "web", "instance": name}} for name in ("a", "b")]
    return {
        "ruleName": "Load peaking!",
        "ruleId": 7,
        "orgId": 1,
        "dashboardId": 2,
        "panelId": 3,
        "title": "[Alerting] Load peaking!",
        "message": "Load is peaking.\nSpin up more.",
        "state": state,
        "evalMatches": matches if state == "alerting" else None,
        "tags": {"severity": "critical"},
        **changes,
    }


async def test_legacy_grafana_is_one_alert_from_alerting_to_ok(api: httpx2.AsyncClient, house: House) -> None:
    first = await api.post(URL, json=legacy())
    assert first.status_code == 202
    house.clock.at = house.clock.at.replace(hour=4)
    assert (await api.post(URL, json=legacy())).json() == {"accepted": 0, "repeated": 1, "ids": first.json()["ids"]}
    assert (await api.post(URL, json=legacy("ok"))).json()["accepted"] == 1
    firing, resolved = await stored(house)
    assert (firing.source, firing.condition, firing.severity) == ("grafana", "Load peaking!", Severity.CRITICAL)
    assert firing.subject == ObjectRef("Deployment", "web", "shop"), "by the tags that all series share"
    assert "instance" not in firing.labels
    assert firing.title == "Load is peaking."
    assert (resolved.status, resolved.episode) == (SignalStatus.RESOLVED, firing.episode)


@pytest.mark.parametrize("state", ["paused", "pending", "unknown"])
async def test_legacy_states_that_say_neither_good_nor_bad_close_nothing(
    state: str, api: httpx2.AsyncClient, house: House
) -> None:
    await api.post(URL, json=legacy())
    assert (await api.post(URL, json=legacy(state))).json() == {"accepted": 0, "repeated": 0, "ids": []}
    assert [signal.status for signal in await stored(house)] == [SignalStatus.FIRING]


async def test_a_megabyte_in_one_annotation_is_cut_and_the_alert_kept(house: House, opened: Opener) -> None:
    house.change(limits=house.limits.__class__(max_body_bytes=4 * 1024 * 1024))
    client = await opened()
    notes = {"summary": "Too much to say", "description": "x" * 1_000_000}
    assert (await client.post(URL, json=body(alert(annotations=notes)))).status_code == 202
    (signal,) = await stored(house)
    assert (len(signal.summary), len(signal.annotations["description"])) == (4096, 4096)
    assert signal.title == "Too much to say"


async def test_a_resolve_that_overtakes_its_firing_is_of_the_same_episode(
    api: httpx2.AsyncClient, house: House
) -> None:
    await api.post(URL, json=body(alert(status="resolved", endsAt="2026-11-21T03:01:00Z")))
    assert (await api.post(URL, json=body(alert()))).json()["accepted"] == 1
    resolved, firing = await stored(house)
    assert (resolved.episode, firing.episode) == (firing.episode, resolved.episode)
    assert await house.store.inbox.resolved_among({firing.episode}) == {firing.episode}


async def test_a_senders_clock_ahead_or_behind_is_taken_as_it_is(api: httpx2.AsyncClient, house: House) -> None:
    for start in ("2031-01-01T00:00:00Z", "2011-01-01T00:00:00Z"):
        sent = body(
            alert(startsAt=start), alert("Over", status="resolved", startsAt=start, endsAt="1999-01-01T00:00:00Z")
        )
        assert (await api.post(URL, json=sent)).json()["accepted"] == 2
    assert {signal.received_at for signal in await stored(house)} == {house.clock.now()}


async def test_overload_loses_nothing_that_was_accepted(api: httpx2.AsyncClient, house: House) -> None:
    bodies = [body(*(alert(f"A{number}-{each}") for each in range(10))) for number in range(20)]
    answers = await asyncio.gather(*(api.post(URL, json=sent) for sent in bodies))
    assert {answer.status_code for answer in answers} == {202, 503}
    accepted = [name for answer in answers if answer.status_code == 202 for name in answer.json()["ids"]]
    assert sorted(accepted) == sorted(signal.id for signal in await stored(house))


BAD = {
    "empty": b"",
    "not json": b"hello",
    "cut off": json.dumps(body(alert())).encode()[:-30],
    "a list": b"[]",
    "null": b"null",
    "no alerts": b'{"version": "4"}',
    "alerts are text": b'{"alerts": "none"}',
    "alert is null": b'{"alerts": [null]}',
    "no labels": json.dumps(body({"status": "firing", "startsAt": "2026-11-21T03:00:00Z"})).encode(),
    "label is a number": json.dumps(body(alert(labels={"alertname": 7}))).encode(),
    "unknown status": json.dumps(body(alert(status="pending"))).encode(),
    "time without zone": json.dumps(body(alert(startsAt="2026-11-21T03:00:00"))).encode(),
    "no time": json.dumps(body(alert(startsAt="yesterday"))).encode(),
    "start is missing": json.dumps(body(alert(startsAt="0001-01-01T00:00:00Z"))).encode(),
    "lone surrogate": b'{"alerts": [{"status": "firing", "labels": {"alertname": "\\ud800"}}]}',
    "deep": b'{"alerts": [], "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "no status anywhere": json.dumps({"alerts": [alert(status="")]}).encode(),
    "second alert bad": json.dumps(body(alert("Good"), alert("Bad", status=1))).encode(),
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD.keys())
async def test_a_malformed_body_stores_nothing_and_the_next_good_one_works(
    sent: bytes, api: httpx2.AsyncClient, house: House
) -> None:
    answer = await api.post(URL, content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert await stored(house) == []
    assert house.bells.rung == []
    assert (await api.post(URL, json=body(alert()))).status_code == 202


async def test_a_refusal_says_where(api: httpx2.AsyncClient) -> None:
    answer = await api.post(URL, json=body(alert(), alert(startsAt="soon")))
    assert "$.alerts[1].startsAt" in answer.json()["detail"]
    answer = await api.post(URL, json=body(alert(labels={"alertname": 7})))
    assert "$.alerts[0].labels" in answer.json()["detail"]


async def test_an_announced_oversized_body_is_refused_unread(api: httpx2.AsyncClient, house: House) -> None:
    answer = await api.post(URL, json=body(alert(annotations={"summary": "x" * 70_000})))
    assert answer.status_code == 413
    assert await stored(house) == []
    assert (await api.post(URL, json=body(alert()))).status_code == 202


async def test_an_oversized_body_that_announces_nothing_is_not_read_to_its_end(
    api: httpx2.AsyncClient, house: House
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 16_384
            yield b" " * 16_384

    answer = await api.post(URL, content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert sent < 200_000
    assert (await api.post(URL, json=body(alert()))).status_code == 202
    assert len(await stored(house)) == 1


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_content_type_is_refused(kind: str, api: httpx2.AsyncClient, house: House) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await api.post(URL, content=json.dumps(body(alert())).encode(), headers=headers)
    assert answer.status_code == 415
    assert await stored(house) == []


async def test_a_compressed_body_is_refused_rather_than_inflated(api: httpx2.AsyncClient, house: House) -> None:
    packed = gzip.compress(json.dumps(body(alert())).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await api.post(URL, content=packed, headers=headers)).status_code == 415
    assert await stored(house) == []


async def test_one_bad_byte_does_not_cost_the_alert(api: httpx2.AsyncClient, house: House) -> None:
    sent = json.dumps(body(alert("Latency"))).encode().replace(b"p99 is", b"p99 \xff is")
    assert (await api.post(URL, content=sent, headers={"Content-Type": "application/json"})).status_code == 202
    assert (await stored(house))[0].summary == "p99 \ufffd is above 2 s"


async def test_what_postgresql_cannot_hold_is_replaced(api: httpx2.AsyncClient, house: House) -> None:
    labels = {"alertname": "A\0B", "namespace": "shop"}
    assert (await api.post(URL, json=body(alert(labels=labels, fingerprint="a\0b")))).status_code == 202
    (signal,) = await stored(house)
    assert "\0" not in repr(signal)
    assert signal.condition == "A\ufffdB"


async def test_a_template_without_a_usable_start_makes_one_episode(api: httpx2.AsyncClient, house: House) -> None:
    def template(status: str) -> dict[str, Any]:
        return body(alert(status=status, startsAt="$EVENT_TIMESTAMP"), version="1")

    first = await api.post(URL, json=template("firing"))
    house.clock.at = house.clock.at.replace(hour=4)
    again = await api.post(URL, json=template("firing"))
    assert again.json() == {"accepted": 0, "repeated": 1, "ids": first.json()["ids"]}
    assert (await api.post(URL, json=template("resolved"))).json()["accepted"] == 1
    firing, resolved = await stored(house)
    assert firing.episode == resolved.episode
    later = await api.post(URL, json=template("firing"))
    assert later.json()["accepted"] == 1, "after its end it is a new episode"


async def test_too_deep_an_inbox_sheds_and_says_when_to_come_back(api: httpx2.AsyncClient, house: House) -> None:
    flood = body(*(alert(f"A{number}") for number in range(50)))
    assert (await api.post(URL, json=flood)).status_code == 202
    refused = await api.post(URL, json=body(alert("OneMore")))
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(await stored(house)) == 50


async def test_a_store_that_is_away_is_503_and_heals(api: httpx2.AsyncClient, house: House) -> None:
    house.break_store()
    refused = await api.post(URL, json=body(alert()))
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "3"
    assert "hunter2" not in refused.text
    house.break_store(away=False)
    assert (await api.post(URL, json=body(alert()))).status_code == 202
    assert len(await stored(house)) == 1


async def test_alerts_are_never_rate_limited(house: House, opened: Opener) -> None:
    house.change(limits=house.limits.__class__(requests_per_minute=3))
    client = await opened()
    answers = await asyncio.gather(*(client.post(URL, json=body(alert(f"A{number}"))) for number in range(20)))
    assert {answer.status_code for answer in answers} == {202}


@pytest.mark.parametrize(
    ("labels", "subject", "failure_class"),
    [
        ({"pod": "web-1", "namespace": "shop", "node": "n1"}, "Pod/shop/web-1", "workload"),
        ({"pod": "ksm-1", "exported_pod": "web-1", "exported_namespace": "shop"}, "Pod/shop/web-1", "workload"),
        ({"statefulset": "db", "namespace": "shop"}, "StatefulSet/shop/db", "workload"),
        ({"daemonset": "cni", "namespace": "kube-system", "node": "n1"}, "DaemonSet/kube-system/cni", "workload"),
        ({"job_name": "backup-1", "namespace": "shop", "job": "ksm"}, "Job/shop/backup-1", "workload"),
        (
            {"persistentvolumeclaim": "data", "namespace": "shop", "node": "n1"},
            "PersistentVolumeClaim/shop/data",
            "volume",
        ),
        ({"node": "n1", "instance": "10.0.0.1:9100"}, "Node/n1", "node"),
        ({"namespace": "shop"}, "Namespace/shop", "alert:Anything"),
        ({"job": "node-exporter", "instance": "10.0.0.1:9100"}, "Instance/10.0.0.1:9100", "alert:Anything"),
        ({}, "Alert/Anything", "alert:Anything"),
    ],
)
def test_labels_name_the_most_telling_object(labels: dict[str, str], subject: str, failure_class: str) -> None:
    meant = generic_meaning("Anything", labels)
    assert (meant.subject.path, meant.failure_class) == (subject, failure_class)


@pytest.mark.parametrize(
    ("name", "labels", "condition", "subject"),
    [
        ("KubePodCrashLooping", {"pod": "web-1", "namespace": "shop"}, "CrashLoopBackOff", "Pod/shop/web-1"),
        ("KubeNodeNotReady", {"node": "n1", "namespace": "monitoring"}, "NodeNotReady", "Node/n1"),
        ("CheckoutIsSlow", {"deployment": "web", "namespace": "shop"}, "CheckoutIsSlow", "Deployment/shop/web"),
    ],
)
async def test_known_alerts_speak_the_words_of_the_catalogue(
    name: str, labels: dict[str, str], condition: str, subject: str, api: httpx2.AsyncClient, house: House
) -> None:
    sent = alert(name, labels={"alertname": name, "family": "forged", **labels})
    assert (await api.post(URL, json=body(sent))).status_code == 202
    (signal,) = await stored(house)
    assert (signal.condition, signal.subject.path) == (condition, subject)
    assert signal.labels.get("family") != "forged", "what rules match on is ours to say"


def test_a_pod_with_its_workload_named_belongs_to_that_workload() -> None:
    meant = generic_meaning(
        "A", {"pod": "web-1", "namespace": "shop", "workload": "web", "workload_type": "deployment"}
    )
    assert (meant.subject.kind, meant.owner) == ("Pod", ObjectRef("Deployment", "web", "shop"))


@pytest.mark.parametrize(
    ("label", "severity"),
    [
        ("page", "critical"),
        ("CRITICAL", "critical"),
        ("major", "error"),
        ("P3", "warning"),
        ("none", "info"),
        ("?", "warning"),
    ],
)
def test_senders_severities_become_ours(label: str, severity: str) -> None:
    assert severity_of({"severity": label}) == severity
    assert severity_of({}) is Severity.WARNING


def test_a_missing_fingerprint_is_alertmanagers_own() -> None:
    assert label_fingerprint({}) == "cbf29ce484222325", "64-bit FNV-1a of nothing"
    assert label_fingerprint({"a": "1", "b": "2"}) == label_fingerprint({"b": "2", "a": "1"})
    assert label_fingerprint({"a": "1b", "c": ""}) != label_fingerprint({"a": "1", "bc": ""})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_NAMES = st.sampled_from(["alertname", "pod", "namespace", "node", "instance", "job", "severity", "cluster", "family"])
_ALERTS = st.fixed_dictionaries(
    {"labels": st.dictionaries(_NAMES | st.text(max_size=8), st.text(max_size=20) | _JSON, max_size=6)},
    optional={
        "status": st.sampled_from(["firing", "resolved", "", "x"]) | _JSON,
        "startsAt": st.sampled_from(["2026-11-21T03:00:00Z", "0001-01-01T00:00:00-23:00", "9999-12-31T23:59:59-23:00"])
        | _JSON,
        "endsAt": st.text(max_size=30) | _JSON,
        "annotations": st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=3) | _JSON,
        "fingerprint": st.text(max_size=20) | _JSON,
    },
)
_BODIES = st.fixed_dictionaries(
    {"alerts": st.lists(_ALERTS, max_size=4) | _JSON}, optional={"version": _JSON, "status": _JSON}
)


@given(sent=_BODIES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_any_body_is_signals_or_a_refusal(sent: bytes) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    try:
        alerts = parse_alerts(sent, now=now, new_id=lambda: "s", cluster="lab", meaning=meaning_of_alert)
    except Invalid:
        return  # nothing else may be raised
    for signal in alerts.signals:
        assert signal.starts_at.tzinfo is not None
        assert signal.subject.name
        assert signal.fingerprint
        assert "\0" not in repr(signal)
        msgspec.json.decode(msgspec.json.encode(signal), type=Signal)


CORPUS = Path(os.environ.get("MIDWATCH_CORPUS", "")) / "alerts"
needs_corpus = pytest.mark.skipif(not os.environ.get("MIDWATCH_CORPUS"), reason="MIDWATCH_CORPUS is not set")


@needs_corpus
@pytest.mark.parametrize("path", sorted(CORPUS.glob("alert-*.json")), ids=lambda path: path.stem)
async def test_a_recorded_body_gives_the_signals_it_should(path: Path, api: httpx2.AsyncClient, house: House) -> None:
    case = json.loads(path.read_text())
    expected = case["expected"]
    answer = await api.post(URL, json=case["payload"])
    signals = await stored(house)
    if case["tier"] == "foreign":
        assert answer.status_code < 500
        if case["kind"] == "grafana-legacy":
            assert (answer.is_success, len(signals)) == (True, 1)
        return
    assert answer.status_code in (200, 202), answer.text
    assert len(answer.json()["ids"]) == expected["n_alerts"]
    statuses = [signal.status for signal in signals]
    assert statuses.count(SignalStatus.FIRING) == expected["n_firing"]
    assert statuses.count(SignalStatus.RESOLVED) == expected["n_resolved"]
    wanted = expected["fingerprints"] or expected["label_fingerprints_fnv1a"]
    assert [signal.fingerprint for signal in signals] == wanted


@needs_corpus
@pytest.mark.parametrize("path", sorted(CORPUS.glob("alert-*.json")), ids=lambda path: path.stem)
async def test_a_recorded_body_is_taken_at_the_generic_door_alike(
    path: Path, api: httpx2.AsyncClient, house: House
) -> None:
    case = json.loads(path.read_text())
    answer = await api.post("/alerts", json=case["payload"])
    if case["tier"] == "foreign":
        assert answer.status_code < 500
    else:
        assert answer.status_code == 202
        assert len(answer.json()["alert_ids"]) == case["expected"]["n_alerts"]


@needs_corpus
@pytest.mark.parametrize("order", ["once", "twice", "shuffled"])
def test_a_recorded_stream_tells_of_each_alert_once(order: str) -> None:
    bodies = [json.loads(line)["body"] for line in (CORPUS / "stream.jsonl").read_text().splitlines()]
    expected = json.loads((CORPUS / "stream.expected.json").read_text())
    if order == "twice":
        bodies += bodies
    if order == "shuffled":
        random.Random(7).shuffle(bodies)
    deliveries: dict[str, Signal] = {}
    now = datetime(2026, 11, 21, tzinfo=UTC)
    for sent in bodies:
        raw = json.dumps(sent).encode()
        for signal in parse_alerts(raw, now=now, new_id=lambda: "s", cluster="lab", meaning=generic_meaning).signals:
            deliveries[signal.delivery] = signal
    firing = {signal.fingerprint for signal in deliveries.values() if signal.status is SignalStatus.FIRING}
    assert len(firing) == expected["unique_fingerprints"]
    assert len({signal.identity for signal in deliveries.values()}) == expected["unique_fingerprints"]


async def test_a_cluster_that_senders_call_otherwise_is_ours(house: House, opened: Opener) -> None:
    house.change(aliases={"eu-west-1": "lab"})
    client = await opened()
    for name in ("eu-west-1", "elsewhere"):
        sent = alert(name)
        sent["labels"]["cluster"] = name
        await client.post(URL, json=body(sent))
    assert [signal.cluster for signal in await stored(house)] == ["lab", "elsewhere"]
