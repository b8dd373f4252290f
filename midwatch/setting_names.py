"""How the environment calls a setting."""

from pydantic import AliasChoices

PREFIX = "MIDWATCH_"


def with_prefix(name: str, *others: str) -> AliasChoices:
    """``MIDWATCH_NAME``, and the other names it may have."""
    return AliasChoices(f"{PREFIX}{name}", *others)


def also_plain(name: str) -> AliasChoices:
    """``MIDWATCH_NAME``, and the name by itself, as vendors' own tools read it."""
    return with_prefix(name, name)
