"""One kind of object followed: paged list, watch from its resourceVersion, list again and compare when that is gone."""

import asyncio
import logging
import random
import time
from typing import Any, Generic, TypeVar

import msgspec

from midwatch.adapters.kubernetes.client import ApiConnection, Forbidden, Gone
from midwatch.domain.errors import MidwatchError, NotFound, Permanent, Transient
from midwatch.domain.objects.meta import Base
from midwatch.domain.objects.parse import KINDS, Reader
from midwatch.services.watch_ports import KindState, Sink

T = TypeVar("T")

log = logging.getLogger(__name__)

PAGE = 500
WATCH_S = 290
"""How long the server is asked to keep one watch open."""
BARRED_S, ABSENT_S = 30.0, 300.0
"""How long to wait before asking again for what a right is missing for, or what the cluster does not serve."""
BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 20.0


class Resource(msgspec.Struct, frozen=True):
    """What to follow: a kind, the path of its collection, and a field selector that leaves out what is not needed."""

    kind: str
    path: str
    field_selector: str = ""
    scope: str = ""


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    more: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct, Generic[T]):
    items: list[T]
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class _RawPage(msgspec.Struct):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[msgspec.Raw] | None = None


class _WatchEvent(msgspec.Struct):
    type: str = ""
    object: msgspec.Raw = msgspec.Raw(b"{}")


class _Versioned(msgspec.Struct):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class _Refusal(msgspec.Struct):
    code: int = 0
    message: str = ""


class Reflector:
    """Tells a sink of every object of one resource, of changes, and of what vanished while nobody looked."""

    def __init__(
        self, connection: ApiConnection, resource: Resource, *, page: int = PAGE, watch_s: int = WATCH_S
    ) -> None:
        self._connection, self.resource = connection, resource
        self._page, self._watch_s = page, watch_s
        self._reader = Reader(resource.kind)
        # The whole page at once is the fast way; a page with one odd object is read piece by piece.
        generic: Any = _Page
        self._pages: msgspec.json.Decoder[_Page[Base]] = msgspec.json.Decoder(generic[KINDS[resource.kind]])
        self._chance = random.Random(resource.path)  # noqa: S311 - spreads reconnects, hides nothing
        self._raw_pages = msgspec.json.Decoder(_RawPage)
        self._events = msgspec.json.Decoder(_WatchEvent)
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._version = ""

    async def run(self, sink: Sink) -> None:
        """Follow until cancelled; every failure is told to the sink and overcome with growing pauses."""
        pause = BACKOFF_S
        while True:
            began = time.monotonic()
            try:
                if not self._version:
                    await self._list(sink)
                await self._watch(sink)
                if time.monotonic() - began > 1.0:
                    pause = BACKOFF_S  # the server ended the watch in its own time: go on from where it stood
                    continue
                wait = pause  # ended as soon as it was opened: go on, but do not hammer
                pause = min(pause * 2, LONGEST_BACKOFF_S)
            except Gone:
                self._version = ""
                continue
            except Forbidden as error:
                self._state(sink, KindState.BARRED, str(error))
                wait = BARRED_S
            except NotFound as error:
                self._state(sink, KindState.ABSENT, str(error))
                wait = ABSENT_S
            except MidwatchError as error:
                self._state(sink, KindState.LOST, str(error))
                if isinstance(error, Permanent):
                    self._version = ""
                if time.monotonic() - began > LONGEST_BACKOFF_S:
                    pause = BACKOFF_S  # it had worked for a while: this is a new trouble
                wait = max(pause, error.retry_in if isinstance(error, Transient) and error.retry_in > 1 else 0.0)
                pause = min(pause * 2, LONGEST_BACKOFF_S)
            await asyncio.sleep(wait * self._chance.uniform(0.5, 1.5))

    def _state(self, sink: Sink, state: KindState, detail: str = "") -> None:
        sink.state(self.resource.kind, self.resource.scope, state, detail)

    async def _list(self, sink: Sink) -> None:
        self._state(sink, KindState.LISTING)
        fresh: dict[tuple[str, str], tuple[str, str]] = {}
        token, version = "", ""
        while True:
            params: dict[str, str | int] = {"limit": self._page}
            if token:
                params["continue"] = token
            if self.resource.field_selector:
                params["fieldSelector"] = self.resource.field_selector
            body = await self._connection.get(self.resource.path, params, timeout_s=60)
            items, meta = self._read_page(body)
            for item in items:
                fresh[item.namespace, item.name] = (item.metadata.uid, item.metadata.resource_version)
                self._put(sink, item)
            token, version = meta.more, meta.resource_version
            if not token:
                break
            await asyncio.sleep(0)
        for key in self._known.keys() - fresh.keys():
            sink.remove(self.resource.kind, *key)
        self._known, self._version = fresh, version
        self._state(sink, KindState.SYNCED)

    def _read_page(self, body: bytes) -> tuple[list[Base], _ListMeta]:
        kind = self.resource.kind
        if kind not in ("ConfigMap", "Secret"):
            try:
                page = self._pages.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                log.debug("a page holds an odd object and is read piece by piece", extra={"kind": kind})
            else:
                return [_of_kind(item, kind) for item in page.items if item.metadata.name], page.metadata
        try:
            raw = self._raw_pages.decode(body.decode("utf-8", "replace"))
        except msgspec.DecodeError as error:
            raise Transient(f"API server: the list of {kind} is no list ({error})") from error
        return [item for piece in raw.items or () if (item := self._reader.read(piece)) is not None], raw.metadata

    def _put(self, sink: Sink, item: Base) -> None:
        key = (item.namespace, item.name)
        known = self._known.get(key)
        if known is not None:
            if known[0] != item.metadata.uid:
                sink.remove(self.resource.kind, *key)  # another object under an old name
            elif known[1] == item.metadata.resource_version:
                return
        sink.put(item)

    async def _watch(self, sink: Sink) -> None:
        params: dict[str, str | int] = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": self._watch_s,
        }
        if self.resource.field_selector:
            params["fieldSelector"] = self.resource.field_selector
        heard = False
        async for lines in self._connection.lines(self.resource.path, params, timeout_s=self._watch_s + 30):
            if not heard:
                heard = True
                self._state(sink, KindState.SYNCED)
            for line in lines:
                self._hear(sink, line)

    def _hear(self, sink: Sink, line: bytes) -> None:
        try:
            event = self._events.decode(line.decode("utf-8", "replace"))
        except msgspec.DecodeError as error:
            raise Transient(f"API server: the watch of {self.resource.kind} sent no event ({error})") from error
        if event.type == "BOOKMARK":
            self._version = msgspec.json.decode(event.object, type=_Versioned).metadata.resource_version
            return
        if event.type == "ERROR":
            refusal = msgspec.json.decode(event.object, type=_Refusal)
            if refusal.code == 410:
                raise Gone(refusal.message)
            raise Transient(f"API server ended the watch of {self.resource.kind}: {refusal.message}")
        item = self._reader.read(event.object)
        if item is None:
            return
        key, meta = (item.namespace, item.name), item.metadata
        self._version = meta.resource_version or self._version
        if event.type == "DELETED":
            self._known.pop(key, None)
            sink.remove(self.resource.kind, *key)
            return
        self._put(sink, item)
        self._known[key] = (meta.uid, meta.resource_version)


def _of_kind(item: Base, kind: str) -> Base:
    return item if item.kind == kind else msgspec.structs.replace(item, kind=kind)
