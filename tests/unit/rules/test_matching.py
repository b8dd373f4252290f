"""Rules: the first match counts, the index changes nothing, and every refusal has a reason."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.adapters.catalog.rules import ExampleSignal, example_signal
from midwatch.domain.refs import Severity
from midwatch.domain.rules import Matcher, Rule, RuleSet, mismatch, ripe_at


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
    verdict = RuleSet([rule("nodes", kinds=("Node",)), rule("rest")]).match(signal())
    assert verdict.rule.id == "rest"
    assert verdict.passed_over == (("nodes", "kind is Pod, wanted Node"),)


@pytest.mark.parametrize(
    ("match", "objection"),
    [
        ({"conditions": ("OOM*",)}, "condition is CrashLoopBackOff"),
        ({"sources": ("grafana",)}, "source is watch"),
        ({"namespaces": ("pay*",)}, "namespace is shop"),
        ({"clusters": ("prod",)}, "cluster is sandbox"),
        ({"labels": {"team": "a"}}, "label team is absent"),
        ({"at_least": Severity.CRITICAL}, "severity is error"),
        ({"families": ("node",)}, "family is empty"),
    ],
)
def test_each_field_objects_in_words(match, objection):
    assert mismatch(Matcher(**match), signal()).startswith(objection)


def test_nothing_matches_without_rules():
    assert RuleSet([]).match(signal()).rule is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "B", "A*", "C", ""]), st.sampled_from(["shop", "pay", ""]), st.integers(-1, 1)),
        max_size=8,
    ),
    st.sampled_from(["A", "Ab", "B", "C", "D"]),
)
def test_the_index_finds_what_a_plain_walk_finds(made, condition):
    rules = [
        Rule(
            id=str(number),
            priority=priority,
            match=Matcher(conditions=(name,) if name else (), namespaces=(space,) if space else ()),
        )
        for number, (name, space, priority) in enumerate(made)
    ]
    wanted = signal(condition=condition)
    walked = next(
        (each for each in sorted(rules, key=lambda each: -each.priority) if not mismatch(each.match, wanted)), None
    )
    assert RuleSet(rules).match(wanted).rule == walked


def test_a_hold_counts_from_the_beginning_of_the_episode():
    held = msgspec.structs.replace(rule("held"), hold=timedelta(seconds=30))
    late = msgspec.structs.replace(signal(), received_at=signal().starts_at + timedelta(seconds=20))
    assert ripe_at(held, late) - late.received_at == timedelta(seconds=10)
