"""Watch streams: history first, then live, with bookmarks; bytes are made once and sent to all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from midwatch.sandbox.api.reads import selector_of
from midwatch.sandbox.api.requests import ApiRequest
from midwatch.sandbox.clock import Clock
from midwatch.sandbox.errors import ApiError, bad_request, expired
from midwatch.sandbox.objects import Obj, encode
from midwatch.sandbox.selectors import Selector
from midwatch.sandbox.store import ADDED, DELETED, MODIFIED, Change, Record, Store, watch_line
from midwatch.sandbox.tables import table

_BACKLOG = 200_000
"""Lines a slow client may be behind before it is cut off."""


class Watches:
    """All open watch streams."""

    def __init__(self, store: Store, clock: Clock, *, bookmark_every: float = 10.0) -> None:
        self._store = store
        self._clock = clock
        self._bookmark_every = bookmark_every
        self._open: set[Watch] = set()
        store.subscribe(self._fan_out)

    def open(self, request: ApiRequest) -> Watch:
        """Start a watch; 410 comes as the stream's first line, as the API server does."""
        watch = Watch(request, self._store, self._clock, self._bookmark_every, self._open.discard)
        self._open.add(watch)
        return watch

    def disconnect(self) -> int:
        """End every stream, as a restarting API server does; returns how many."""
        watches = list(self._open)
        for watch in watches:
            watch.close()
        return len(watches)

    def __len__(self) -> int:
        return len(self._open)

    def _fan_out(self, change: Change) -> None:
        for watch in tuple(self._open):
            watch.offer(change)
        change.release()


class Watch:
    """One stream. ``lines()`` is its body."""

    def __init__(
        self,
        request: ApiRequest,
        store: Store,
        clock: Clock,
        bookmark_every: float,
        closed: Callable[[Watch], None],
    ) -> None:
        self._resource = request.target.resource
        self._namespace = request.target.namespace
        self._selector: Selector = selector_of(request)
        self._table = request.table
        self._whole = request.query.get("includeObject") == "Object"
        self._clock = clock
        self._store = store
        self._closed = closed
        self._bookmarks = request.flag("allowWatchBookmarks")
        self._bookmark_every = bookmark_every
        self._timeout = float(request.number("timeoutSeconds") or 1800)
        self._pending: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._done = False
        self._headed = False
        self._start(request)

    def offer(self, change: Change) -> None:
        """Take a change if it is for this stream."""
        key = change.record.key
        if key.resource is not self._resource or (self._namespace and key.namespace != self._namespace):
            return
        if (line := self._line(change)) is None:
            return
        self._pending.append(line)
        self._wake.set()
        if len(self._pending) > _BACKLOG:
            self.close()

    def close(self) -> None:
        """End the stream after what is pending."""
        self._done = True
        self._wake.set()

    async def lines(self) -> AsyncIterator[bytes]:
        """The body: batches of whole lines."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        try:
            while True:
                if self._pending:
                    batch = b"".join(self._pending)
                    self._pending.clear()
                    yield batch
                    continue
                left = end - loop.time()
                if self._done or left <= 0:
                    return
                self._wake.clear()
                try:
                    async with asyncio.timeout(min(left, self._bookmark_every)):
                        await self._wake.wait()
                except TimeoutError:
                    if self._bookmarks:
                        yield self._bookmark()
        finally:
            self._closed(self)

    def _start(self, request: ApiRequest) -> None:
        version = request.number("resourceVersion") or 0
        if request.flag("sendInitialEvents"):
            raise bad_request("sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
        if version and version < self._store.oldest:
            error: ApiError = expired(f"too old resource version: {version} ({self._store.oldest})")
            self._pending.append(watch_line("ERROR", encode(error.status())))
            self._done = True
        elif version:
            for change in self._store.since(version):
                self.offer(change)
        else:
            for record in self._store.scan(self._resource, self._namespace):
                if self._matches(record):
                    self._pending.append(self._render(ADDED, record, watch_line(ADDED, record.raw)))

    def _matches(self, record: Record) -> bool:
        return not self._selector or self._selector.matches(record.labels, record.fields)

    def _line(self, change: Change) -> bytes | None:
        kind = change.kind
        if self._selector:
            # An object that comes to match, or ceases to, is added or deleted as far as this watch can tell.
            now = kind != DELETED and self._matches(change.record)
            before = change.previous is not None and self._matches(change.previous)
            if not now and not before:
                return None
            kind = MODIFIED if now and before else ADDED if now else DELETED
        plain = change.line if kind == change.kind else watch_line(kind, change.record.raw)
        return self._render(kind, change.record, plain)

    def _render(self, kind: str, record: Record, plain: bytes) -> bytes:
        if not self._table:
            return plain
        metadata: Obj = {"resourceVersion": str(record.version)}
        head, self._headed = not self._headed, True
        now = self._clock.now()
        rows = table(record.key.resource, [record.obj()], now, metadata=metadata, whole=self._whole, head=head)
        return watch_line(kind, encode(rows))

    def _bookmark(self) -> bytes:
        resource = self._resource
        body: Obj = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self._store.version), "creationTimestamp": None},
        }
        if self._table:
            metadata = {"resourceVersion": str(self._store.version)}
            body = table(resource, [], self._clock.now(), metadata=metadata, whole=False, head=not self._headed)
        return watch_line("BOOKMARK", encode(body))
