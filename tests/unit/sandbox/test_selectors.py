"""Label and field selectors."""

import pytest

from midwatch.sandbox.errors import ApiError
from midwatch.sandbox.schema import DEPLOYMENTS, PODS
from midwatch.sandbox.selectors import labels_match, parse_selector

LABELS = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app=api", False),
        ("app!=api", True),
        ("missing!=x", True),
        ("app in (web, api)", True),
        ("app notin (web)", False),
        ("missing notin (x)", True),
        ("app", True),
        ("!app", False),
        ("!missing,tier in (front,back)", True),
    ],
)
def test_label_selectors(text: str, wanted: bool) -> None:
    assert parse_selector(PODS, text, "").matches(LABELS, {}) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("status.phase=Running", True),
        ("status.phase!=Running", False),
        ("spec.nodeName=", True),
        ("spec.nodeName!=", False),
        ("metadata.name=web-0,status.phase=Running", True),
    ],
)
def test_field_selectors_take_what_is_missing_for_empty(text: str, wanted: bool) -> None:
    fields = {"status.phase": "Running", "metadata.name": "web-0"}
    assert parse_selector(PODS, "", text).matches({}, fields) is wanted


@pytest.mark.parametrize(
    ("labels", "fields"), [("a=b=c", ""), ("a in b", ""), ("", "spec.replicas=1"), ("", "nonsense")]
)
def test_what_the_server_cannot_answer_is_a_bad_request(labels: str, fields: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_selector(DEPLOYMENTS, labels, fields)
    assert refused.value.code == 400


def test_match_expressions_of_a_spec() -> None:
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    assert labels_match(selector, LABELS)
    assert not labels_match(selector, {"app": "web"})
