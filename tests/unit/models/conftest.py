"""Both wires, over the stub vendor in memory."""

from collections.abc import AsyncIterator, Callable

import httpx2
import msgspec
import pytest

from midwatch.adapters.llm.base import BaseProvider
from midwatch.adapters.llm.factory import make_provider
from midwatch.domain.dialogue import ModelRequest, ToolSpec, Turn, UserTurn
from midwatch.domain.providers import Kind, Names, Provider, Switches
from tests.fakes.llm_server import LlmServer

KEY = "key-of-the-test-0123456789"
PODS = ToolSpec(
    name="kubernetes.pods_list",
    description="Lists pods.",
    parameters='{"type":"object","properties":{"namespace":{"type":"string"}}}',
)

Connect = Callable[..., BaseProvider]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens a provider of a kind over a server; closed at the end."""
    opened: list[BaseProvider] = []

    def open_one(kind: str, server: LlmServer, *, name: str = "", **changed: object) -> BaseProvider:
        record = Provider(
            kind=Kind(kind),
            base_url="http://stub/v1" if kind != "anthropic" else "http://stub",
            models=Names(large="big", small="little"),
            idle_s=5.0,
        )
        if isinstance(switches := changed.pop("switches", None), dict):
            changed["switches"] = msgspec.convert(switches, Switches)
        record = msgspec.structs.replace(record, **changed)
        transport = httpx2.ASGITransport(app=server.app())
        opened.append(make_provider(name or kind, record, KEY, transport=transport))
        return opened[-1]

    yield open_one
    for provider in opened:
        await provider.close()


def asking(*turns: Turn, **changed: object) -> ModelRequest:
    """A request with one tool."""
    request = ModelRequest(system="You investigate.", turns=turns or (UserTurn("Why?"),), tools=(PODS,))
    return msgspec.structs.replace(request, **changed)
