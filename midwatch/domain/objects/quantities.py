"""Kubernetes quantities (``500m``, ``1.5Gi``, ``2e3``) as numbers."""

import re

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(m|u|n|k|K|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_SCALES = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    None: 1.0,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
}
_SCALES |= {f"{prefix}i": 1024.0**power for power, prefix in enumerate("KMGTPE", 1)}


def quantity(value: str | int | float | None) -> float | None:
    """The number a quantity stands for (cores, bytes, pieces); ``None`` where it is none."""
    if isinstance(value, int | float):
        return float(value)
    matched = _QUANTITY.fullmatch(value.strip()) if value else None
    return float(matched[1]) * _SCALES[matched[2]] if matched else None


def mebibytes(value: str | int | float | None) -> int | None:
    """A memory quantity in whole MiB."""
    size = quantity(value)
    return None if size is None else round(size / 1024**2)
