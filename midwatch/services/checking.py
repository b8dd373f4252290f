"""Checks looked at in the world: objects as they were observed, and PromQL asked of Prometheus."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from midwatch.domain.checks import Result, Scene, Standing, evaluate, measured
from midwatch.domain.errors import Permanent, Transient
from midwatch.domain.playbooks import PROMQL, Check


class Measurements(Protocol):
    """Where numbers come from."""

    async def values(self, query: str, at: datetime) -> tuple[float, ...]:
        """The values of an instant query, one a series; empty when there is no data.

        Raises ``Transient`` while it is away and ``Permanent`` when it rejects the query.
        """
        ...


class Checking:
    """Looks at several checks at once. Without a source of numbers PromQL never holds."""

    def __init__(self, measurements: Measurements | None = None) -> None:
        self._measurements = measurements

    @property
    def measures(self) -> bool:
        """Whether PromQL can be asked at all."""
        return self._measurements is not None

    async def results(self, checks: Sequence[Check], scene: Scene, now: datetime) -> list[Result]:
        """Where each check stands. What cannot be measured now is pending: it proves nothing, either way."""
        return [await self._measured(c, now) if c.name == PROMQL else evaluate(c, scene) for c in checks]

    async def _measured(self, check: Check, now: datetime) -> Result:
        if self._measurements is None:
            return Result(Standing.PENDING, "no Prometheus is configured (MIDWATCH_PROMETHEUS_URL)")
        try:
            return measured(check, await self._measurements.values(check.query, now))
        except (Transient, Permanent) as error:
            return Result(Standing.PENDING, f"cannot be measured: {error}")
