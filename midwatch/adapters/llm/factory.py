"""From a record to a provider."""

from typing import Any

import httpx2

from midwatch.adapters.llm.anthropic_provider import AnthropicProvider
from midwatch.adapters.llm.base import BaseProvider
from midwatch.adapters.llm.openai_provider import OpenAIProvider
from midwatch.domain.providers import Kind, Provider


def make_provider(
    name: str, record: Provider, key: str, *, base_url: str = "", transport: httpx2.AsyncBaseTransport | None = None
) -> BaseProvider[Any, Any]:
    """The adapter of the record's kind. Opens nothing and imports no SDK."""
    kind = AnthropicProvider if record.kind is Kind.ANTHROPIC else OpenAIProvider
    return kind(name, record, key, base_url=base_url, transport=transport)
