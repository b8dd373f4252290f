"""One connection to one API server: kubeconfig, tokens and TLS by the official client, bodies as raw bytes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Self

import aiohttp
import msgspec

from midwatch.domain.errors import Conflict, Invalid, MidwatchError, NotFound, Permanent, Transient


class Gone(MidwatchError):
    """The API server has forgotten this resourceVersion or continue token (410): list again."""


class Forbidden(Permanent):
    """The API server refused for want of a right (401, 403); the message is its own and names the right."""


class _Status(msgspec.Struct, frozen=True):
    message: str = ""
    reason: str = ""
    code: int = 0


class ApiConnection:
    """GET requests to one API server. Make it with :meth:`open`; close it with :meth:`close`."""

    def __init__(self, api: "object") -> None:
        self._api = api

    @classmethod
    async def open(cls, *, kubeconfig: Path | None = None, context: str = "", in_cluster: bool = False) -> Self:
        """Read the configuration; nothing is sent yet. Raises :class:`Invalid` for one that cannot be used."""
        from kubernetes.aio import client, config  # 0.8 s, and only processes that watch or look need it

        configuration = client.Configuration()
        try:
            if in_cluster:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=str(kubeconfig) if kubeconfig else None,
                    context=context or None,
                    client_configuration=configuration,
                )
        except (config.ConfigException, OSError) as error:
            where = "in-cluster configuration" if in_cluster else f"kubeconfig {kubeconfig or '(default)'}"
            raise Invalid(f"{where}, context {context or '(current)'}: {error}") from error
        configuration.connection_pool_maxsize = 64
        configuration.retries = None
        return cls(client.ApiClient(configuration))

    async def close(self) -> None:
        await self._api.close()  # type: ignore[attr-defined]  # untyped SDK

    async def get(
        self, path: str, params: Mapping[str, str | int] | None = None, *, timeout_s: float = 30.0, accept: str = ""
    ) -> bytes:
        """The body of a GET.

        Raises ``NotFound``, :class:`Forbidden`, :class:`Gone`, or ``Transient`` for what may pass.
        """
        response = await self._request(path, params, timeout_s, accept)
        try:
            body: bytes = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Transient(f"API server: {type(error).__name__} while reading {path}") from error
        if response.status != 200:
            raise refusal(response.status, body, path)
        return body

    async def lines(
        self, path: str, params: Mapping[str, str | int], *, timeout_s: float
    ) -> AsyncIterator[list[bytes]]:
        """The lines of a stream, in the batches they come in; ends when the server ends it."""
        response = await self._request(path, params, timeout_s, "")
        try:
            if response.status != 200:
                raise refusal(response.status, await response.read(), path)
            rest = bytearray()
            async for chunk in response.content.iter_any():
                rest += chunk
                end = rest.rfind(b"\n")
                if end < 0:
                    continue
                whole, rest = bytes(rest[:end]), rest[end + 1 :]
                yield [line for line in whole.split(b"\n") if line]
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Transient(f"API server: stream of {path} broke ({type(error).__name__})") from error
        finally:
            response.close()

    async def _request(
        self, path: str, params: Mapping[str, str | int] | None, timeout_s: float, accept: str
    ) -> aiohttp.ClientResponse:
        api = self._api
        method, url, headers, _, _ = await api.param_serialize(  # type: ignore[attr-defined]  # untyped SDK
            "GET",
            path,
            query_params=list((params or {}).items()),
            header_params={"Accept": accept or "application/json"},
            auth_settings=["BearerToken"],
        )
        try:
            answer = await api.call_api(method, url, header_params=headers, _request_timeout=timeout_s)  # type: ignore[attr-defined]
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise Transient(f"API server does not answer ({type(error).__name__}: {error})") from error
        response: aiohttp.ClientResponse = answer.response
        return response


def refusal(status: int, body: bytes, path: str) -> MidwatchError:
    """The error that a status code other than success stands for, with the server's own sentence."""
    try:
        said = msgspec.json.decode(body, type=_Status).message
    except msgspec.MsgspecError:
        said = body[:200].decode("utf-8", "replace")
    message = f"{path}: {said or f'HTTP {status}'}"
    if status == 404:
        return NotFound(message)
    if status in (401, 403):
        return Forbidden(message)
    if status == 409:
        return Conflict(message)
    if status == 410:
        return Gone(message)
    if status in (408, 429) or status >= 500:
        return Transient(f"API server: {message}", 1.0)
    return Permanent(f"API server: {message}")
