"""Whatever a cluster or a file says: no exception, and what can be read is read."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.domain.analysis import analyse
from midwatch.domain.conditions import detect, detect_object
from midwatch.domain.objects import KINDS, ClusterView, parse_object, parse_snapshot
from midwatch.domain.objects.certificates import not_after
from midwatch.domain.objects.parse import Reader
from midwatch.domain.objects.pods import Pod
from midwatch.domain.objects.quantities import quantity
from tests.unit.conditions.objects import NOW, container, deployment, event, node, pod, replica_set

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_JUNK = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
_REAL = [
    pod(containers=(container(waiting={"reason": "CrashLoopBackOff"}, restarts=3, last={"exitCode": 1}),)),
    deployment(available=0, conditions=({"type": "Available", "status": "False"},)),
    replica_set(),
    node(ready="Unknown"),
    event("Pod", "web-7d9f8b6c5d-abcde", "FailedMount", "x"),
    {"kind": "CronJob", "metadata": {"name": "c"}, "spec": {"schedule": "* * * * *"}, "status": {}},
    {"kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 1}]}},
    {
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {"parentRefs": [{"name": "g"}], "rules": [{"backendRefs": [{}]}]},
    },
]


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, item in inner for path in _paths(item, (*here, key)))]


def _with(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], junk)
    return copy


@st.composite
def _broken(draw: st.DrawFn) -> Any:
    """A real object with up to three of its parts replaced by anything."""
    item: Any = draw(st.sampled_from(_REAL))
    for _ in range(draw(st.integers(1, 3))):
        item = _with(item, draw(st.sampled_from(_paths(item))), draw(_JUNK))
        if not isinstance(item, dict):
            break
    return item


@given(st.lists(_broken(), max_size=4))
@settings(max_examples=60, deadline=None)
def test_broken_objects_never_raise(items: list[Any]) -> None:
    parsed = parse_snapshot(items)
    view = ClusterView.of(parsed)
    detect(view, NOW)
    for item in parsed:
        detect_object(view, item, NOW)
    analyse(parsed, (), NOW)


@given(
    st.sampled_from(sorted(KINDS)),
    st.dictionaries(st.sampled_from(["spec", "status", "data", "rules", "webhooks"]), _JUNK),
)
@settings(max_examples=60, deadline=None)
def test_any_kind_with_any_content_is_read(kind: str, parts: dict[str, Any]) -> None:
    parsed = parse_object({"kind": kind, "metadata": {"name": "x"}, **parts})
    assert parsed is not None
    assert parsed.name == "x"
    detect(ClusterView.of([parsed]), NOW)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_left(body: bytes) -> None:
    Reader("Pod").read(body)
    parse_object(body)
    not_after(body)


def test_what_fits_survives_what_does_not() -> None:
    parsed = parse_object(
        {
            "kind": "Pod",
            "metadata": {
                "name": "x",
                "labels": {"version": 1, "on": True, "deep": {}},
                "creationTimestamp": "yesterday",
            },
            "spec": {"containers": None, "nodeName": "n"},
            "status": {"phase": "Running", "conditions": [5, {"type": "Ready", "status": "True"}]},
        }
    )
    assert isinstance(parsed, Pod)
    assert parsed.metadata.labels == {"version": "1", "on": "true"}
    assert parsed.spec.node_name == "n"
    assert [entry.type for entry in parsed.status.conditions] == ["Ready"]


def test_bad_bytes_in_a_label_cost_only_themselves() -> None:
    body = b'{"metadata":{"name":"x","labels":{"team":"\xff\xfe"}},"status":{"phase":"Running"}}'
    parsed = Reader("Pod").read(body)
    assert isinstance(parsed, Pod)
    assert parsed.status.phase == "Running"


def test_megabytes_of_annotations_are_not_kept() -> None:
    big = {"kind": "Deployment", "metadata": {"name": "x", "annotations": {"last-applied": "y" * 1_000_000}}}
    parsed = Reader("Deployment").read(msgspec.json.encode(big))
    assert parsed is not None
    assert len(msgspec.json.encode(parsed)) < 1000


def test_values_of_secrets_are_not_kept() -> None:
    hidden = base64.b64encode(b"hunter2").decode()
    parsed = parse_object({"kind": "Secret", "metadata": {"name": "x"}, "data": {"password": hidden}})
    assert parsed is not None
    assert b"password" in msgspec.json.encode(parsed)
    assert hidden.encode() not in msgspec.json.encode(parsed)


def test_the_end_of_a_certificate_is_read() -> None:
    # SEQUENCE { SEQUENCE { serial, algorithm, issuer, SEQUENCE { from, to } } }, the least that has an end
    def element(tag: int, content: bytes) -> bytes:
        return bytes([tag, len(content)]) + content

    validity = element(0x30, element(0x17, b"250101000000Z") + element(0x17, b"260508120000Z"))
    body = element(0x02, b"\x01") + element(0x30, b"") + element(0x30, b"") + validity
    der = element(0x30, element(0x30, body))
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der) + b"\n-----END CERTIFICATE-----\n"
    assert not_after(pem) == datetime(2026, 5, 8, 12, tzinfo=UTC)
    tls = {
        "kind": "Secret",
        "metadata": {"name": "x"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": base64.b64encode(pem).decode()},
    }
    assert [finding.condition for finding in detect(ClusterView.of(parse_snapshot([tls])), NOW)] == [
        "TlsSecretExpiring"
    ]


def test_quantities() -> None:
    assert quantity("500m") == 0.5
    assert quantity("1.5Gi") == 1.5 * 1024**3
    assert quantity(3) == 3
    assert quantity("1e3") == 1000
    assert quantity("lots") is None
