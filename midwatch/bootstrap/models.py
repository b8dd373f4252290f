"""The model behind its port, built from the file of models, and again when that changes.

A provider whose key or address is not there is left out, with the reason kept for people.
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points

import httpx2
import msgspec

from midwatch.adapters.catalog.models import FileModels
from midwatch.adapters.llm.factory import make_provider
from midwatch.adapters.references import References
from midwatch.bootstrap import Resources
from midwatch.domain.errors import Invalid
from midwatch.domain.providers import KEYLESS, Layer, Names, Provider, Registry
from midwatch.model_settings import Environment
from midwatch.services.models import layers, ports
from midwatch.services.models.chain import Chain, Link
from midwatch.services.models.fallback import Fallback
from midwatch.services.models.front import Built, Models
from midwatch.services.models.ports import Meter, Middleware, unmetered
from midwatch.services.runtime import Clock
from midwatch.services.spending import DayMeter
from midwatch.settings import Settings
from midwatch.telemetry import Metrics

GROUP = "midwatch.model_middleware"

Transport = httpx2.AsyncBaseTransport


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One record: whether it can be asked, and why not. Holds no key."""

    name: str
    record: Provider
    why_not: str = ""
    has_key: bool = False


def open_model(
    resources: Resources, metrics: Metrics | None = None, *, transport: Transport | None = None
) -> Models | None:
    """The model; ``None`` when no provider can be asked as things stand. Opens no connection before the first call.

    Close it with ``close()``. Raises ``Faults`` for a bad file and ``Invalid`` for a middleware that does not exist.
    """
    settings, clock = resources.settings, resources.clock
    file = FileModels(settings.models_file)
    if not any(not found.why_not for found in survey(settings, file.current())):
        return None
    meter = DayMeter(resources.stores.spend, clock)
    count = metered(metrics) if metrics is not None else unmetered
    return Models(partial(_build, settings, file, clock, meter, count, transport), meter)


def survey(settings: Settings, registry: Registry) -> tuple[Found, ...]:
    """Every record in the order they would be asked, those that are off last."""
    registry = in_force(settings, registry)
    order = registry.order()
    rest = (name for name in registry.providers if name not in order)
    return tuple(_found(settings, name, registry.providers[name], asked=name in order) for name in (*order, *rest))


def in_force(settings: Settings, registry: Registry) -> Registry:
    """The registry with what the environment adds in a lab; ``nonprod`` and ``prod`` take the file as it is.

    Raises ``Invalid`` for a default provider nobody knows.
    """
    wanted = settings.default_llm_provider
    if settings.environment is not Environment.LAB:
        return registry
    if wanted and wanted not in registry.providers:
        raise Invalid(f"DEFAULT_LLM_PROVIDER={wanted}: there are {', '.join(registry.providers)}")
    if not wanted and not registry.default:
        known = (name for name in registry.order() if not _found(settings, name, registry.providers[name]).why_not)
        wanted = next(known, "")
    wanted = wanted or registry.default
    if not wanted:
        return registry
    record = registry.providers[wanted]
    named = Names(
        large=settings.llm_model or record.models.large, small=settings.llm_small_model or record.models.small
    )
    enabled = record.enabled or wanted == settings.default_llm_provider
    changed = msgspec.structs.replace(record, enabled=enabled, models=named)
    return msgspec.structs.replace(registry, default=wanted, providers={**registry.providers, wanted: changed})


def metered(metrics: Metrics) -> Meter:
    """Counts in a process's metrics."""

    def count(provider: str, model: str, outcome: str, usage: object, usd: float, seconds: float) -> None:
        metrics.model_calls.labels(provider, model, outcome).inc()
        metrics.model_seconds.labels(provider, model).observe(seconds)
        metrics.model_usd.labels(provider, model).inc(usd)
        for kind in ("input", "output", "cache_read", "cache_write"):
            metrics.model_tokens.labels(provider, model, kind).inc(getattr(usage, kind))

    return count


def _build(
    settings: Settings,
    file: FileModels,
    clock: Clock,
    meter: DayMeter,
    count: Meter,
    transport: Transport | None,
    old: Built | None,
) -> Built:
    mark = file.current()
    if old is not None and old.mark is mark:
        return old
    try:
        registry = in_force(settings, mark)
        chain = Chain(_links(registry.middleware, settings, clock, meter))
    except Invalid:
        if old is None:
            raise
        return Built(mark, old.chain, old.providers)  # a bad edit leaves what was in force
    providers = providers_of(settings, registry, transport=transport)
    return Built(mark, chain, Fallback(providers, clock, registry.price, cooldown_s=registry.cooldown_s, meter=count))


def providers_of(
    settings: Settings, registry: Registry, *, transport: Transport | None = None
) -> tuple[ports.Provider, ...]:
    """Those that can be asked, in order."""
    references = References(settings.model_variables())
    asked = [found for found in survey(settings, registry) if not found.why_not]
    return tuple(
        make_provider(
            found.name,
            _resolved(references, found.record),
            references.resolve(found.record.key),
            base_url=references.resolve(found.record.base_url) or _address(settings, found.record),
            transport=transport,
        )
        for found in asked
    )


def _address(settings: Settings, record: Provider) -> str:
    """Where the vendors' own variables send their SDKs to."""
    return {"anthropic": settings.anthropic_base_url, "openai": settings.openai_base_url}.get(record.kind, "")


def _found(settings: Settings, name: str, record: Provider, *, asked: bool = True) -> Found:
    if not record.enabled:
        return Found(name=name, record=record, why_not="switched off in the file of models")
    references = References(settings.model_variables())
    try:
        key = references.resolve(record.key)
        references.resolve(record.base_url)
        record = _resolved(references, record)
    except Invalid as error:
        return Found(name=name, record=record, why_not=str(error))
    if not key and record.kind not in KEYLESS:
        return Found(name=name, record=record, why_not="no key is set for it")
    why_not = "" if asked else "not among the fallbacks in the file of models"
    return Found(name=name, record=record, why_not=why_not, has_key=bool(key))


def _resolved(references: References, record: Provider) -> Provider:
    names = record.models
    models = Names(large=references.resolve(names.large), small=references.resolve(names.small))
    return msgspec.structs.replace(record, models=models)


def _links(wanted: tuple[Layer, ...], settings: Settings, clock: Clock, meter: DayMeter) -> tuple[Link, ...]:
    makers: dict[str, Callable[..., Middleware]] = {
        "logging": layers.Logging,
        "redaction": layers.Redaction,
        "validation": layers.Validation,
        "retry": layers.Retry,
        "cache": partial(layers.ResponseCache, clock),
        "limits": partial(layers.Limits, clock, meter, settings.day_budget),
    }
    return tuple(
        Link(layer.use, layer.priority, layer.critical, _made(layer, makers)) for layer in wanted if layer.active
    )


def _made(layer: Layer, makers: dict[str, Callable[..., Middleware]]) -> Middleware:
    make = makers.get(layer.use)
    if make is None:
        found = next(iter(entry_points(group=GROUP, name=layer.use)), None)
        if found is None:
            raise Invalid(f"no middleware {layer.use!r}: built in are {', '.join(makers)}; others by {GROUP}")
        make = found.load()
    try:
        made = make(**layer.options)
    except TypeError as error:
        raise Invalid(f"middleware {layer.use!r}: {error}") from error
    if not isinstance(made, Middleware):
        raise Invalid(f"middleware {layer.use!r} is not a subclass of {Middleware.__module__}.Middleware")
    return made
