"""Logs and metrics of one process.

Logs are JSON lines with the time, the actor and what the call site adds (incident, channel, tool, approval). Metrics
are ``prometheus_client`` values in a registry of their own; the edge gathers those of all actors into one ``/metrics``.
"""

import logging
import logging.handlers
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from midwatch.domain.masking import mask

Family = tuple[str, str, str, tuple[tuple[str, dict[str, str], float], ...]]
"""One metric family as plain data, fit for a Ray message: name, type, help, samples of (name, labels, value)."""

TRAFFIC = ("mcp", "model")
"""What is said to tool servers and to models has log files of its own: loggers ``midwatch.traffic.NAME``."""

_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _add_extra(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Fields given as ``extra=`` to the standard library's logger."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event.update({key: value for key, value in vars(record).items() if key not in _PLAIN and key[0] != "_"})
    return event


def _mask_all(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: mask(value) if isinstance(value, str) else value for key, value in event.items()}


def set_up_logging(actor: str, *, level: str, folder: Path | None) -> None:
    """Send this process's log to ``folder/ACTOR.jsonl`` (rotated at 10 MB, three kept), or without one to stderr."""
    handler: logging.Handler
    streams: dict[str, logging.Handler] = {}
    if folder is None:
        handler = logging.StreamHandler()
    else:
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^\w.-]+", "-", actor)
        handler = _rotated(folder / f"{name}.jsonl")
        streams = {stream: _rotated(folder / f"{name}.{stream}-traffic.jsonl") for stream in TRAFFIC}
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_extra,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _mask_all,
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    for each in (handler, *streams.values()):
        each.setFormatter(formatter)
    structlog.contextvars.bind_contextvars(actor=actor)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING")
    for ours in ("midwatch", "actors", "serve"):
        logging.getLogger(ours).setLevel(level.upper())
    for stream, own in streams.items():
        talk = logging.getLogger(f"midwatch.traffic.{stream}")
        talk.handlers, talk.propagate = [own], False


def _rotated(path: Path) -> logging.Handler:
    return logging.handlers.RotatingFileHandler(path, maxBytes=10_000_000, backupCount=3, delay=True)


class Metrics:
    """What one process counts. Names follow Prometheus' habits and begin with ``midwatch_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.watch_events = self._counter("watch_events", "Changes read from the API server.", "cluster")
        self.watch_loops = self._counter("watch_loop_runs", "Evaluations of the watch loop.", "cluster")
        self.signals = self._counter("signals", "Signals accepted.", "source", "status")
        self.rule_matches = self._counter("rule_matches", "Signals taken by a rule.", "rule")
        self.incidents = self._counter("incidents", "Incidents by what became of them.", "state")
        self.playbook_runs = self._counter("playbook_runs", "Plans carried out, by outcome.", "playbook", "outcome")
        self.approval_timeouts = self._counter("approval_timeouts", "Approvals nobody answered in time.")
        self.approvals = self._counter("approvals", "Approval requests by outcome.", "outcome")
        self.model_calls = self._counter("model_calls", "Calls to a model.", "provider", "model", "outcome")
        self.model_tokens = self._counter("model_tokens", "Tokens, by kind.", "provider", "model", "kind")
        self.model_usd = self._counter("model_usd", "What models cost, in US dollars.", "provider", "model")
        self.model_seconds = Histogram(
            "midwatch_model_seconds",
            "How long a call to a model takes.",
            ("provider", "model"),
            buckets=(0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300),
            registry=self.registry,
        )
        self.tool_calls = self._counter("tool_calls", "Looks and acts through tools.", "tool", "outcome")
        self.mcp_calls = self._counter("mcp_calls", "Calls of MCP tools.", "server", "tool", "outcome")
        self.mcp_seconds = self._counter("mcp_call_seconds", "Time spent in MCP tools.", "server", "tool")
        self.cards = self._counter("cards", "Cards posted or edited.", "channel", "outcome")
        self.errors = self._counter("errors", "Errors an actor recovered from.", "kind")
        self.loop_seconds = Histogram(
            "midwatch_loop_seconds", "How long one turn of an actor's loop takes.", registry=self.registry
        )
        self.queue_depth = Gauge("midwatch_queue_depth", "Unsettled signals in the inbox.", registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"midwatch_{name}", text, labels, registry=self.registry)

    def families(self) -> tuple[Family, ...]:
        """All metrics of this process as plain data."""
        return tuple(
            (
                family.name,
                family.type,
                family.documentation,
                tuple((sample.name, dict(sample.labels), sample.value) for sample in family.samples),
            )
            for family in self.registry.collect()
        )


class _Gathered(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(by_actor: Mapping[str, tuple[Family, ...] | None]) -> bytes:
    """Prometheus' text form of what all actors count, each sample labelled ``actor``; ``None`` marks a silent one."""
    up = Metric("midwatch_actor_up", "1 if the actor answered the scrape.", "gauge")
    families: dict[str, Metric] = {}
    for actor, reported in by_actor.items():
        up.add_sample("midwatch_actor_up", {"actor": actor}, 0.0 if reported is None else 1.0)
        for name, kind, text, samples in reported or ():
            family = families.setdefault(name, Metric(name, text, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {**labels, "actor": actor}, value)
    registry = CollectorRegistry()
    registry.register(_Gathered([up, *families.values()]))
    rendered: Any = generate_latest(registry)
    return bytes(rendered)
