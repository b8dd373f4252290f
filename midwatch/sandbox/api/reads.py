"""Get and list: bytes as they are stored, pages by key, tables for kubectl."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from midwatch.sandbox.api.requests import ApiRequest, Reply, json_reply
from midwatch.sandbox.clock import Clock
from midwatch.sandbox.errors import bad_request, expired, not_found
from midwatch.sandbox.objects import Obj, decode, encode
from midwatch.sandbox.selectors import Selector, parse_selector
from midwatch.sandbox.store import Record, Store
from midwatch.sandbox.tables import table


class Reads:
    """What answers get and list."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def find(self, request: ApiRequest) -> Record:
        """The object the path names, or 404."""
        target = request.target
        record = self._store.get(target.key)
        if record is None:
            raise not_found(target.resource.plural, target.resource.group, target.name)
        return record

    def get(self, request: ApiRequest) -> Reply:
        """One object."""
        return self.show(request, self.find(request))

    def show(self, request: ApiRequest, record: Record, code: int = 200) -> Reply:
        """One object in the form the client accepts."""
        if request.table:
            whole = request.query.get("includeObject") == "Object"
            return json_reply(
                table(record.key.resource, [record.obj()], self._clock.now(), metadata={}, whole=whole), code
            )
        return Reply(record.raw, code)

    def list(self, request: ApiRequest) -> Reply:
        """A collection, whole or a page of it."""
        target, resource = request.target, request.target.resource
        selector = selector_of(request)
        limit = request.number("limit") or 0
        version, after = self._store.version, None
        if token := request.query.get("continue"):
            version, after = _read_token(token)
            if version < self._store.oldest:
                raise expired(
                    "The provided continue parameter is too old to display a consistent list result. "
                    "You can start a new list without the continue parameter."
                )
        elif (wanted := request.number("resourceVersion")) and wanted > self._store.version:
            raise bad_request(f"Too large resource version: {wanted}, current: {self._store.version}")
        page: list[Record] = []
        metadata: Obj = {"resourceVersion": str(version)}
        for record in self._store.scan(resource, target.namespace, after=after):
            if selector and not selector.matches(record.labels, record.fields):
                continue
            if target.name and record.key.name != target.name:
                continue
            if limit and len(page) == limit:
                place = page[-1].key[1:]
                metadata["continue"] = _write_token(version, place)
                if not selector:
                    metadata["remainingItemCount"] = self._store.remaining(resource, target.namespace, place)
                break
            page.append(record)
        return self._collection(request, page, metadata)

    def _collection(self, request: ApiRequest, page: Iterable[Record], metadata: Obj) -> Reply:
        resource = request.target.resource
        if request.table:
            whole = request.query.get("includeObject") == "Object"
            rows = (record.obj() for record in page)
            return json_reply(table(resource, rows, self._clock.now(), metadata=metadata, whole=whole))
        head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
        items = b",".join([record.item for record in page])
        return Reply(b"%b" % encode(head)[:-1] + b',"items":[' + items + b"]}")


def selector_of(request: ApiRequest) -> Selector:
    """The selectors of a request; a watch or list on one name selects that name."""
    query = request.query
    fields = query.get("fieldSelector", "")
    if request.target.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={request.target.name}")))
    return parse_selector(request.target.resource, query.get("labelSelector", ""), fields)


def _write_token(version: int, place: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(encode([version, *place])).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        version, namespace, name = decode(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error
    if not isinstance(version, int) or not isinstance(namespace, str) or not isinstance(name, str):
        raise bad_request("continue key is not valid")
    return version, (namespace, name)
