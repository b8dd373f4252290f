"""Writing over HTTP to a ticket system: timed, capped, no redirects, errors by what to do about them."""

from collections.abc import Mapping

import httpx2

from midwatch.domain.errors import NotFound, Permanent, Transient

_MAX_ANSWER = 4 * 1024 * 1024
_PATIENCE_S, _LONGEST_S = 5.0, 600.0


class TicketHttp:
    """Requests to one vendor. Errors name the vendor, never the address or a header: they may hold secrets."""

    def __init__(
        self,
        vendor: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._vendor = vendor
        self._client = httpx2.AsyncClient(
            headers=dict(headers or {}),
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of a good answer. Raises ``Transient``, ``NotFound`` and ``Permanent``."""
        kind = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = await self._client.request(
                method, url, params=dict(params or {}), content=body, headers={**kind, **(headers or {})}
            )
        except httpx2.HTTPError as error:
            raise Transient(f"{self._vendor} cannot be reached ({type(error).__name__})", _PATIENCE_S) from error
        if answer.is_success:
            if len(answer.content) > _MAX_ANSWER:
                raise Permanent(f"{self._vendor} answered more than can be read")
            return answer.content
        said = f"{self._vendor} answered {answer.status_code} to {method}"
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            raise Transient(said, _retry_after(answer))
        if answer.status_code == 404:
            raise NotFound(said)
        raise Permanent(f"{said}: check address, token and rights")


def _retry_after(answer: httpx2.Response) -> float:
    given = answer.headers.get("retry-after", "")
    return min(float(given), _LONGEST_S) if given.isdecimal() else _PATIENCE_S
