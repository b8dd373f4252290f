"""Errors cross process borders: each keeps its type and its fields through pickle."""

import pickle
from collections.abc import Iterator

import pytest

import midwatch.adapters.catalog.yaml_source
import midwatch.adapters.kubernetes.client  # noqa: F401  both for the errors they define
from midwatch.domain.errors import MidwatchError

# What a constructor takes beside a message, for the classes that take more.
EXTRA: dict[str, tuple[object, ...]] = {"Transient": (2.5,), "AwayAtACost": (2.5, 1200, 0.05)}
BEFORE: dict[str, tuple[object, ...]] = {"Refused": ("frozen",)}


WHOLE: dict[str, tuple[object, ...]] = {"Faults": (("the store is away",),)}
"""All arguments of classes that take no message as it is."""


def family(root: type[MidwatchError]) -> Iterator[type[MidwatchError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


def arguments(error: type[MidwatchError], table: dict[str, tuple[object, ...]]) -> tuple[object, ...]:
    return next((table[base.__name__] for base in error.__mro__ if base.__name__ in table), ())


OURS = [error for error in family(MidwatchError) if error.__module__.startswith(("midwatch.", "actors.", "serve."))]


@pytest.mark.parametrize("error", OURS, ids=lambda error: error.__name__)
def test_round_trip(error: type[MidwatchError]) -> None:
    args = (*arguments(error, BEFORE), "the store is away", *arguments(error, EXTRA))
    args = WHOLE.get(error.__name__, args)
    original = error(*args)  # type: ignore[arg-type]
    copy = pickle.loads(pickle.dumps(original))
    assert type(copy) is error
    assert vars(copy) == vars(original)
    assert str(copy) == str(original) == "the store is away"


def test_the_tree_is_seen_whole() -> None:
    assert {"Transient", "Permanent", "Invalid", "Refused", "NotFound", "Conflict", "ClaimLost"} <= {
        error.__name__ for error in OURS
    }
