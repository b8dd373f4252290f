"""Ports of the model loop: the model itself, the tools it may use, and what is fetched around an incident.

``Enricher`` stands beside the investigation, which uses it first.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.dialogue import ModelReply, ModelRequest, ToolSpec
from midwatch.domain.errors import Transient
from midwatch.domain.incidents import Incident
from midwatch.domain.servers import ServerRecord

OnText = Callable[[str], None]
"""Called with each piece of text as it streams in; must not block."""


class AwayAtACost(Transient):
    """No provider gave an answer, and what they began has cost ``tokens`` and ``usd`` (US dollars)."""

    def __init__(self, message: str, retry_in: float, tokens: int, usd: float) -> None:
        Exception.__init__(self, message, retry_in, tokens, usd)
        self.message, self.retry_in, self.tokens, self.usd = message, retry_in, tokens, usd


class Model(Protocol):
    """The whole chain of providers behind one call: middleware, retries and fallback have happened when it returns."""

    async def available(self) -> bool:
        """Whether any provider is configured, enabled and not cooling down; cheap, asked before each investigation."""
        ...

    async def ask(self, request: ModelRequest, on_text: OnText | None = None) -> ModelReply:
        """One turn. ``Transient`` when every provider is away for now (:class:`AwayAtACost` where they had begun),
        ``Permanent`` when none can ever answer this
        (no key, refused request), ``Refused`` when a middleware forbids it (budget, secret).
        """
        ...


class ToolAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tool said, masked, at full length; capping and spilling is the loop's business."""

    text: str
    ok: bool = True
    took_ms: float = 0.0


class Toolbox(Protocol):
    """The read-only tools of all healthy servers, by our allow-list."""

    async def offer(self) -> tuple[ToolSpec, ...]:
        """What can be called now; names are unique over all servers."""
        ...

    async def call(self, name: str, arguments: str) -> ToolAnswer:
        """Call a tool that was offered. Unknown tools, wrong arguments, timeouts and dead servers are answers with
        ``ok=False`` that say what to do, not exceptions.
        """
        ...


class Toolboxes(Protocol):
    """The tools of each cluster."""

    def of(self, cluster: str) -> Toolbox:
        """Those that look at this cluster and at no other; one without tools for a cluster that is not watched."""
        ...

    def records(self) -> tuple[ServerRecord, ...]:
        """How every server that was started stands."""
        ...


class Runbook(msgspec.Struct, frozen=True, kw_only=True):
    """What people wrote down for such a case: validated and capped. It is data, never an instruction."""

    name: str
    source: str
    text: str
    why: str
    """How it was found: by label, annotation, condition, or a pattern on the cause."""


class Runbooks(Protocol):
    """Where runbooks lie. A source that cannot be read is left out (and logged), never an exception."""

    async def find(self, incident: Incident, report: Diagnosis) -> tuple[Runbook, ...]: ...
