"""Cases for `midwatch diagnose`: objects and logs as they come from files, checked at this edge."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import yaml

from midwatch.commands.verdicts import Verdict
from midwatch.domain.analysis import analyse
from midwatch.domain.errors import Invalid
from midwatch.domain.logs import LogAnalyser, diagnose_logs
from midwatch.domain.objects.parse import parse_snapshot

RawObject = dict[str, Any]
"""An object as the API server gives it; it becomes typed in :mod:`midwatch.domain.objects`."""
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of one situation: objects and logs (text by name), as they stood at ``now``."""

    id: str
    now: datetime
    objects: list[RawObject]
    logs: dict[str, str]


class _Line(msgspec.Struct, frozen=True):
    id: str
    now: str | None = None
    objects: list[RawObject] | None = None
    logs: dict[str, str] | None = None


def diagnose_case(case: Case, analyser: LogAnalyser) -> Verdict:
    """One case to one verdict."""
    reports = tuple(analyser.analyse(name, text) for name, text in case.logs.items())
    if not case.objects:
        findings = tuple(finding for report in reports for finding in report.findings)
        return Verdict(id=case.id, findings=findings, diagnosis=diagnose_logs(reports))
    analysis = analyse(parse_snapshot(case.objects), reports, case.now)
    return Verdict(id=case.id, findings=analysis.findings, diagnosis=analysis.diagnosis)


def parse_batch(data: bytes, default_now: datetime) -> Iterator[Case]:
    """One case a line; empty lines are skipped. Raises :class:`Invalid` with the number of the first bad line."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            given = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Invalid(f"line {number} is no case: {error}") from error
        now = parse_instant(given.now) if given.now else default_now
        yield Case(id=given.id, now=now, objects=given.objects or [], logs=given.logs or {})


def parse_instant(text: str) -> datetime:
    """An instant in ISO 8601; without a zone it is UTC. Raises :class:`Invalid`."""
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise Invalid(f"{text!r} is no instant; give it like 2026-05-01T12:00:00Z") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def parse_objects(name: str, data: bytes) -> list[RawObject]:
    """Objects from JSON or YAML: single ones, lists of any kind, several documents. Raises :class:`Invalid`."""
    where = "standard input" if name == "-" else name
    if not data.strip():
        raise Invalid(f"{where} is empty; expected Kubernetes objects, as from `kubectl get all -A -o json`")
    try:
        documents = [msgspec.json.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        documents = _yaml_documents(where, data)
    found: list[RawObject] = []
    for number, document in enumerate(documents, 1):
        if document is not None:
            found += _flatten(document, where, f"document {number}")
    return found


def _yaml_documents(where: str, data: bytes) -> list[object]:
    try:
        return list(yaml.load_all(data.decode("utf-8", "replace"), Loader=_YAML_LOADER))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise Invalid(f"{where}{at}: neither JSON nor YAML: {problem} (logs are given with --logs)") from error


def _flatten(value: object, where: str, place: str) -> Iterable[RawObject]:
    if not isinstance(value, dict):
        said = f"{type(value).__name__} instead of an object"
        raise Invalid(f"{where}, {place}: {said} with kind and metadata (logs are given with --logs)")
    kind, items = value.get("kind"), value.get("items")
    if isinstance(items, list) and isinstance(kind, str) and kind.endswith("List"):
        inner = kind.removesuffix("List")
        for number, item in enumerate(items, 1):
            if isinstance(item, dict) and inner and "kind" not in item:
                item = {"kind": inner, "apiVersion": value.get("apiVersion")} | item
            yield from _flatten(item, where, f"{place}, item {number}")
        return
    metadata = value.get("metadata")
    if not isinstance(kind, str) or not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise Invalid(f"{where}, {place}: no Kubernetes object, for kind or metadata.name is missing")
    yield value


def only_namespace(objects: Iterable[RawObject], namespace: str) -> list[RawObject]:
    """The objects of one namespace, and those of none."""
    return [item for item in objects if item["metadata"].get("namespace") in (None, "", namespace)]
