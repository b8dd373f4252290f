"""Numbers over time, as a metrics store tells them."""

from datetime import datetime

import msgspec


class Point(msgspec.Struct, frozen=True):
    """One value at one instant; it may be NaN or infinite."""

    at: datetime
    value: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One series at one instant."""

    labels: dict[str, str]
    at: datetime
    value: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One series over a range, oldest point first."""

    labels: dict[str, str]
    points: tuple[Point, ...]
