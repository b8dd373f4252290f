"""Where numbers come from: the Prometheus that is configured, for whoever measures."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from midwatch.adapters.prometheus.client import PrometheusClient
from midwatch.adapters.references import References, is_reference
from midwatch.domain.errors import Invalid
from midwatch.settings import Settings, child_environment


@asynccontextmanager
async def open_prometheus(settings: Settings, *, timeout_s: float = 5.0) -> AsyncIterator[PrometheusClient | None]:
    """A client, or ``None`` where ``MIDWATCH_PROMETHEUS_URL`` is not set. Raises ``Invalid`` for a wrong setting."""
    if settings.prometheus_url is None:
        yield None
        return
    headers = bearer(settings.prometheus_token)
    async with PrometheusClient(
        settings.prometheus_url.get_secret_value(), headers=headers, timeout_s=timeout_s
    ) as client:
        yield client


def bearer(reference: str) -> dict[str, str]:
    """The header for a token by reference; none for an empty one. Raises ``Invalid`` when it leads nowhere."""
    if not reference:
        return {}
    if not is_reference(reference):
        raise Invalid("a token is set by reference: ${env:NAME} or ${file:PATH}")
    return {"Authorization": f"Bearer {References(child_environment({})).resolve(reference)}"}
