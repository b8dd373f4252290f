"""Kubernetes quantities: ``250m`` cpu, ``512Mi`` memory."""

from __future__ import annotations

import re
from decimal import Decimal

_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([numkKMGTPE]i?)?)")


def parse_quantity(value: str | float | None) -> Decimal:
    """The amount in base units (cores, bytes); 0 for None. ValueError for what the API server would refuse."""
    if value is None:
        return Decimal(0)
    text = str(value)
    match = _QUANTITY.fullmatch(text)
    if not match or (match[3] or "") not in _SUFFIXES or match[1].count(".") > 1 or match[1].strip("+-.") == "":
        raise ValueError(f"not a quantity: {text!r}")
    return Decimal(match[1] + (match[2] or "")) * _SUFFIXES[match[3] or ""]


def millicores(value: str | float | None) -> int:
    """A cpu quantity in thousandths of a core."""
    return int(parse_quantity(value) * 1000)


def bytes_of(value: str | float | None) -> int:
    """A memory or storage quantity in bytes."""
    return int(parse_quantity(value))
