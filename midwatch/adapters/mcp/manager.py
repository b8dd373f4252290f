"""All tool servers together: read from a file, kept connected, offered by our lists, each failing alone."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from mcp import StdioServerParameters

from midwatch.adapters.mcp.answers import fit
from midwatch.adapters.mcp.config import BUILT_IN, Resolve, ServerConfig, read_config
from midwatch.adapters.mcp.members import Member
from midwatch.adapters.mcp.profiles import OURS
from midwatch.adapters.mcp.targets import target_of
from midwatch.domain.dialogue import ToolSpec
from midwatch.domain.errors import Invalid, NotFound, Transient
from midwatch.domain.masking import mask
from midwatch.domain.servers import ServerRecord
from midwatch.services.model_ports import ToolAnswer
from midwatch.services.runtime import Clock

log = logging.getLogger(__name__)
traffic = logging.getLogger("midwatch.traffic.mcp")

Observer = Callable[[str, str, str, float], None]
"""Told after each call: server, tool, outcome (``ok``, ``failed`` or ``away``), seconds."""

_FIRST_TRY_S = 20.0
"""A server of ours takes one to two seconds to start, ten on a machine that is busy with what is to be explained."""
_MAX_ARGUMENTS = 64_000
_SHOWN = 2_000


class CompositeToolbox:
    """A :class:`~midwatch.services.model_ports.Toolbox` over our own server and those of ``.mcp-config.json``.

    ``built_in`` starts our Kubernetes server read-only; ``None`` leaves it out. Times are in seconds. ``lazy`` starts
    the servers when the offer is asked for the first time: a house without a model has no use for their processes.

    It is the toolbox of one ``cluster``: servers of the file that look at others are not its own. ``first``: it is the
    cluster that is meant where nobody says which.
    """

    def __init__(
        self,
        config: Path,
        built_in: Callable[[], StdioServerParameters] | None,
        resolve: Resolve,
        clock: Clock,
        *,
        cluster: str = "",
        first: bool = True,
        observe: Observer | None = None,
        probe_every_s: float = 30.0,
        confirm_s: float = 5.0,
        tools_ttl_s: float = 300.0,
        reload_s: float = 2.0,
        lazy: bool = False,
    ) -> None:
        self._config, self._built_in, self._resolve, self._clock = config, built_in, resolve, clock
        self._cluster, self._first, self._observe = cluster, first, observe
        self._times = {"probe_every_s": probe_every_s, "confirm_s": confirm_s, "tools_ttl_s": tools_ttl_s}
        self._reload_s, self._lazy = reload_s, lazy
        self._starting = asyncio.Lock()
        self._members: dict[str, Member] = {}
        self._cares: dict[str, asyncio.Task[None]] = {}
        self._routes: dict[str, tuple[str, str]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._stamp: tuple[int, int] | None = None
        self._first_tries_until = 0.0
        self.fault = ""
        """What is wrong with the file that is not in force; empty when it is."""

    async def __aenter__(self) -> "CompositeToolbox":
        if not self._lazy:
            await self._start()
        return self

    async def _start(self) -> None:
        async with self._starting:
            if self._watch is None:
                await self.reload()
                self._first_tries_until = asyncio.get_running_loop().time() + _FIRST_TRY_S
                self._watch = asyncio.create_task(self._watch_file(), name="mcp:config")

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._cares.values(), *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(member.stop() for member in self._members.values()))
        self._members, self._cares, self._watch = {}, {}, None

    async def offer(self) -> tuple[ToolSpec, ...]:
        """What can be called now. Within 20 s of the start it waits for every server to be tried once."""
        await self._start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._first_tries_until):
                for member in self._members.values():
                    await member.tried()
        specs: list[ToolSpec] = []
        for name, member in self._members.items():
            for offered in member.offer().tools:
                # A name belongs for good to who had it first: it must not change its meaning when a server goes away.
                if self._routes.setdefault(offered.spec.name, (name, offered.tool)) == (name, offered.tool):
                    specs.append(offered.spec)
                else:
                    log.warning("tool name is taken", extra={"server": name, "tool": offered.spec.name})
        return tuple(specs)

    async def call(self, name: str, arguments: str) -> ToolAnswer:
        """Call a tool that was offered; ``arguments`` is a JSON object as text. Failures are answers."""
        if name not in self._routes:
            await self.offer()  # a process that goes on with another's work has offered nothing yet
        server, tool = self._routes.get(name, ("", ""))
        member = self._members.get(server)
        if member is None:
            names = ", ".join(sorted(spec.name for spec in await self.offer()))
            return ToolAnswer(text=f"There is no tool {name[:64]!r}. There are: {names or 'none now'}.", ok=False)
        if not any(offered.tool == tool for offered in member.offer().tools):
            return ToolAnswer(text=f"{name}: the server {server} is away for now; go on with other tools.", ok=False)
        parsed = _parsed(arguments)
        if isinstance(parsed, str):
            return ToolAnswer(text=f"{name}: {parsed}", ok=False)
        began = time.perf_counter()
        try:
            answer = await member.call(tool, parsed)
            text, outcome = fit(answer.text), "ok" if answer.ok else "failed"
        except Transient as error:
            text, outcome = f"{mask(str(error))}; go on with other tools, or try once more.", "away"
        took = time.perf_counter() - began
        self._note(server, tool, outcome, took, arguments, text)
        return ToolAnswer(text=text, ok=outcome == "ok", took_ms=round(took * 1000, 1))

    def records(self) -> tuple[ServerRecord, ...]:
        """Every server as it stands."""
        records = (member.record() for member in self._members.values())
        return tuple(msgspec.structs.replace(record, cluster=self._cluster) for record in records)

    async def refresh(self, name: str, *, timeout_s: float = 10.0) -> ServerRecord:
        """Probe a server now, at a person's wish, and read its tools anew. Raises ``NotFound`` for an unknown name."""
        member = self._members.get(name)
        if member is None:
            raise NotFound(f"there is no MCP server {name!r}; there are {', '.join(self._members) or 'none'}")
        await member.probe(timeout_s)
        return member.record()

    async def reload(self) -> None:
        """Put the file in force: changed servers start anew, others stay. A faulty file leaves the old one in force."""
        self._stamp = self._file_stamp()
        try:
            wanted = read_config(self._config)
        except Invalid as error:
            self.fault = str(error)
            log.error("the MCP configuration is not in force: %s", self.fault)
            wanted = {name: m.config for name, m in self._members.items()}  # the first time: our own server alone
        else:
            self.fault = ""
        wanted = {
            name: config
            for name, config in self._with_ours(wanted).items()
            if not config.disabled and (name == BUILT_IN or config.looks_at(self._cluster, first=self._first))
        }
        gone = [name for name, member in self._members.items() if wanted.get(name) != member.config]
        await asyncio.gather(*(self._drop(name) for name in gone))
        for name, config in wanted.items():
            if name not in self._members:
                self._add(name, config)
        self._members = {name: self._members[name] for name in wanted}

    def _with_ours(self, wanted: dict[str, ServerConfig]) -> dict[str, ServerConfig]:
        if self._built_in is None:
            return {name: config for name, config in wanted.items() if name != BUILT_IN}
        ours = wanted.get(BUILT_IN, ServerConfig(profile=OURS))
        if not ours.allow and not ours.profile:
            ours = msgspec.structs.replace(ours, profile=OURS)
        return {BUILT_IN: ours, **{name: config for name, config in wanted.items() if name != BUILT_IN}}

    def _add(self, name: str, config: ServerConfig) -> None:
        ours = self._built_in if name == BUILT_IN else None
        member = Member(name, config, ours or target_of(config, self._resolve), self._clock)
        member.start()
        self._members[name] = member
        self._cares[name] = asyncio.create_task(member.care(**self._times), name=f"mcp:care:{name}")

    async def _drop(self, name: str) -> None:
        member, care = self._members.pop(name), self._cares.pop(name)
        care.cancel()
        await asyncio.gather(care, return_exceptions=True)
        await member.stop()

    async def _watch_file(self) -> None:
        while True:
            await asyncio.sleep(self._reload_s)
            if self._file_stamp() != self._stamp:
                await self.reload()

    def _file_stamp(self) -> tuple[int, int] | None:
        try:
            stat = self._config.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size

    def _note(self, server: str, tool: str, outcome: str, took: float, arguments: str, text: str) -> None:
        extra = {"server": server, "tool": tool, "outcome": outcome, "took_ms": round(took * 1000, 1)}
        traffic.info("tool called", extra={**extra, "answer_chars": len(text)})
        if traffic.isEnabledFor(logging.DEBUG):
            traffic.debug("tool traffic", extra={**extra, "asked": mask(arguments)[:_SHOWN], "said": text[:_SHOWN]})
        if self._observe is not None:
            self._observe(server, tool, outcome, took)


def _parsed(arguments: str) -> dict[str, Any] | str:
    if len(arguments) > _MAX_ARGUMENTS:
        return f"the arguments are longer than {_MAX_ARGUMENTS} characters"
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return "the arguments are not JSON"
    return value if isinstance(value, dict) else "the arguments must be one JSON object"
