"""What a signal costs to match among 10 and among 1,000 rules. Needs no house: ``python -m tests.bench.rules``."""

import statistics
import time
from collections.abc import Callable, Sequence

from midwatch.adapters.catalog.rules import ExampleSignal, example_signal
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.matching import Matcher
from midwatch.domain.refs import Severity
from midwatch.domain.rules import Rule, RuleSet
from midwatch.domain.signals import Signal
from tests.bench.figures import say

_SIZES = (10, 100, 1000)
_ROUNDS = 15
_NAMES = tuple(CATALOGUE)


def by_condition(number: int) -> Matcher:
    """Every team writes rules about its conditions in its namespace."""
    return Matcher(conditions=(_NAMES[number % len(_NAMES)],), namespaces=(f"team-{number}",))


def by_label(number: int) -> Matcher:
    """One rule a service, told apart by a label."""
    return Matcher(sources=("watch",), labels={"service": f"s{number}"})


def by_prefix(number: int) -> Matcher:
    """One rule an environment, told apart by how its namespaces begin."""
    return Matcher(namespaces=(f"env{number}-*",), at_least=Severity.WARNING)


_KINDS: dict[str, Callable[[int], Matcher]] = {"condition": by_condition, "label": by_label, "prefix": by_prefix}


def rules_of(matcher: Callable[[int], Matcher], size: int) -> RuleSet:
    """``size`` rules, with the two that stand under every set: for what nobody asked for."""
    rest = (Rule(id="any", match=Matcher(at_least=Severity.WARNING), priority=-1), Rule(id="rest", match=Matcher()))
    return RuleSet([Rule(id=f"r{number}", match=matcher(number)) for number in range(size - 2)] + list(rest))


def signals() -> tuple[Signal, ...]:
    """One of each condition; some are meant by a rule, most by the last ones alone."""
    made = [
        ExampleSignal(
            condition=name,
            namespace=f"team-{place}" if place % 3 else f"env{place % 8}-x",
            labels={"service": f"s{place % 7}", "pod": f"p{place}"},
        )
        for place, name in enumerate(_NAMES)
    ]
    return tuple(example_signal(each) for each in made)


def cost_us(rules: RuleSet, wanted: Sequence[Signal]) -> float:
    """Microseconds a signal; the best of many rounds, since the machine is shared."""
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for signal in wanted:
            rules.match(signal)
        took.append((time.perf_counter() - began) / len(wanted) * 1e6)
    return min(took)


def measure() -> None:
    """Print the cost for each kind of rule set and size, and how far 1,000 rules cost more than 10."""
    wanted = signals()
    ratios = []
    for name, matcher in _KINDS.items():
        costs = {size: cost_us(rules_of(matcher, size), wanted) for size in _SIZES}
        for size, cost in costs.items():
            say("rule_match", cost, "us", rules=size, told_apart_by=name)
        ratios.append(costs[1000] / costs[10])
        say("rule_match_1000_over_10", ratios[-1], "ratio", told_apart_by=name)
    say("rule_match_1000_over_10_worst", max(ratios), "ratio", median=round(statistics.median(ratios), 3))
    began = time.perf_counter()
    rules_of(by_condition, 1000)
    say("rule_set_of_1000_built", (time.perf_counter() - began) * 1000, "ms")


if __name__ == "__main__":
    measure()
