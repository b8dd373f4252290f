"""Rules: the first match counts, the index changes nothing, and every refusal has a reason."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.adapters.catalog.rules import ExampleSignal, example_signal
from midwatch.domain.refs import Severity
from midwatch.domain.rules import Matcher, Rule, RuleSet, SeverityMap, group_key, mismatch, ripe_at, severity_under


def signal(**changes):
    return example_signal(ExampleSignal(**{"condition": "CrashLoopBackOff", **changes}))


def rule(id_, **match):
    return Rule(id=id_, match=Matcher(**match))


def test_the_first_match_in_falling_priority_counts():
    low = rule("low", conditions=("CrashLoopBackOff",))
    high = msgspec.structs.replace(rule("high"), priority=5)
    assert RuleSet([low, high]).match(signal()).rule.id == "high"


def test_equal_priorities_keep_the_order_they_stand_in():
    rules = RuleSet([rule("first", namespaces=("sh*",)), rule("second", conditions=("CrashLoopBackOff",))])
    assert rules.match(signal()).rule.id == "first"


def test_a_rule_that_passes_says_why():
    rules = RuleSet([rule("nodes", kinds=("Node",)), rule("rest")])
    assert rules.match(signal()).rule.id == "rest"
    told = {each.id: objection for each, objection in rules.explain(signal())}
    assert told == {"nodes": "kind is Pod, wanted Node", "rest": ""}


@pytest.mark.parametrize(
    ("match", "objection"),
    [
        ({"conditions": ("OOM*",)}, "condition is CrashLoopBackOff"),
        ({"sources": ("grafana",)}, "source is watch"),
        ({"namespaces": ("pay*",)}, "namespace is shop"),
        ({"clusters": ("prod",)}, "cluster is sandbox"),
        ({"labels": {"team": "a"}}, "label team is absent"),
        ({"at_least": Severity.CRITICAL}, "severity is error"),
        ({"families": ("node",)}, "family is crashloop"),
        ({"labels": {"team": "~a|b"}}, "label team is absent"),
    ],
)
def test_each_field_objects_in_words(match, objection):
    assert mismatch(Matcher(**match), signal()).startswith(objection)


def test_nothing_matches_without_rules():
    assert RuleSet([]).match(signal()).rule is None


NAMES = st.sampled_from(["A", "B", "A*", "C", "*", ""])
MATCHERS = st.builds(
    Matcher,
    conditions=st.lists(NAMES, max_size=2).map(tuple),
    namespaces=st.lists(st.sampled_from(["shop", "pay", "sh*", ""]), max_size=2).map(tuple),
    kinds=st.sampled_from([(), ("Pod",), ("Node", "Po*")]),
    labels=st.dictionaries(st.sampled_from(["team", "tier"]), st.sampled_from(["a", "", "~a|b", "~"]), max_size=2),
    at_least=st.sampled_from([Severity.INFO, Severity.CRITICAL]),
)


@given(
    st.lists(st.tuples(MATCHERS, st.integers(-1, 1)), max_size=12),
    st.sampled_from(["A", "Ab", "B", "C", "D"]),
    st.dictionaries(st.sampled_from(["team", "tier"]), st.sampled_from(["a", "b", ""]), max_size=2),
)
def test_the_index_finds_what_a_plain_walk_finds(made, condition, labels):
    rules = [Rule(id=str(number), priority=priority, match=match) for number, (match, priority) in enumerate(made)]
    wanted = signal(condition=condition, labels=labels)
    walked = next(
        (each for each in sorted(rules, key=lambda each: -each.priority) if not mismatch(each.match, wanted)), None
    )
    assert RuleSet(rules).match(wanted).rule == walked


@pytest.mark.parametrize(
    ("wanted", "value", "meant"),
    [
        ("~pay-.*", "pay-eu", True),
        ("~pay", "pay-eu", False),
        ("~|pay", None, True),
        ("~.+", None, False),
        ("~a.b", "a\nb", True),
        ("", None, True),
        ("pay", "pay", True),
        ("pay.*", "pay.*", True),
    ],
)
def test_labels_are_equal_or_match_as_a_whole(wanted, value, meant):
    labels = {} if value is None else {"team": value}
    assert (mismatch(Matcher(labels={"team": wanted}), signal(labels=labels)) == "") is meant


def test_severity_by_a_labels_value():
    by_label = SeverityMap(label="priority", values={"P1": Severity.CRITICAL})
    mapped = msgspec.structs.replace(rule("mapped"), severity=by_label)
    assert severity_under(mapped, signal(labels={"priority": "P1"})) is Severity.CRITICAL
    assert severity_under(mapped, signal(labels={"priority": "P9"})) is Severity.ERROR
    assert severity_under(msgspec.structs.replace(mapped, severity=Severity.INFO), signal()) is Severity.INFO
    assert severity_under(rule("plain"), signal()) is Severity.ERROR


def test_a_rule_may_group_in_its_own_way():
    def key(*names, **changes):
        return group_key(msgspec.structs.replace(rule("r"), group_by=names), signal(**changes))

    assert key("cause") is None
    assert key("namespace", "label:team", labels={"team": "a"}) == "sandbox|rule:r|namespace=shop|label:team=a"
    assert key("owner") != key("owner", name="other")
    assert key("condition", name="one") == key("condition", name="two")


def test_a_hold_counts_from_the_beginning_of_the_episode():
    held = msgspec.structs.replace(rule("held"), hold=timedelta(seconds=30))
    late = msgspec.structs.replace(signal(), received_at=signal().starts_at + timedelta(seconds=20))
    assert ripe_at(held, late) - late.received_at == timedelta(seconds=10)
