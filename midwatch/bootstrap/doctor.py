"""What is on, what is off and why: each part asked as the house would ask it. No key is ever told."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Collection, Sequence
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path

import httpx2
import msgspec

from midwatch.adapters.catalog.models import load_models
from midwatch.adapters.catalog.policy import load_policy
from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from midwatch.adapters.redis.cache import RedisCache
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import open_stores
from midwatch.bootstrap.detection import open_cluster
from midwatch.bootstrap.metrics import open_prometheus
from midwatch.bootstrap.models import Found, in_force, providers_of, survey
from midwatch.domain.budgets import Budget
from midwatch.domain.errors import MidwatchError
from midwatch.domain.providers import Registry
from midwatch.services.clusters import not_watched
from midwatch.settings import Settings

_PATIENCE_S = 8.0
_LATELY = 500
"""So many of the incidents that changed last are looked at for clusters that are not watched."""
_MODEL_S = 60.0
"""A model that is not loaded yet takes its time, and so does the first import of a vendor's SDK."""


class State(StrEnum):
    ON = "on"
    OFF = "off"
    FAULT = "fault"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One part: ``off`` is a choice, ``fault`` is for somebody to mend. ``do`` says how to change it."""

    area: str
    name: str
    state: State
    detail: str = ""
    do: str = ""


async def examine(
    settings: Settings, *, ask_models: bool = False, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncGenerator[Finding, None]:
    """Every part in turn. ``ask_models`` asks each provider that is on one small question, which costs a little."""
    yield await _database(settings)
    yield await _redis(settings)
    yield await _cluster(settings)
    if (strangers := await _strangers(settings)) is not None:
        yield strangers
    yield _acting(settings)
    yield await _prometheus(settings)
    yield _policy(settings)
    async with aclosing(_models(settings, ask_models=ask_models, transport=transport)) as findings:
        async for finding in findings:
            yield finding
    yield _budget("an incident", settings.incident_budget)
    yield _budget("a day", settings.day_budget)


async def _answer(work: Awaitable[object], patience_s: float = _PATIENCE_S) -> str:
    """Why it does not work; empty when it does."""
    try:
        async with asyncio.timeout(patience_s):
            await work
    except TimeoutError:
        return f"no answer within {patience_s:g} s"
    except (MidwatchError, OSError) as error:
        return str(error)
    return ""


async def _database(settings: Settings) -> Finding:
    name = "PostgreSQL"
    if settings.database_url is None:
        return Finding(area="stores", name=name, state=State.ON, detail=f"embedded, in {settings.state_dir}")
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        why = await _answer(database.health())
    finally:
        await database.close()
    return _finding("stores", name, why, "MIDWATCH_DATABASE_URL answers", "check MIDWATCH_DATABASE_URL")


async def _redis(settings: Settings) -> Finding:
    name = "Redis"
    if settings.redis_url is None:
        return Finding(area="stores", name=name, state=State.ON, detail=f"embedded, in {settings.state_dir}")
    cache = RedisCache(settings.redis_url.get_secret_value())
    try:
        why = await _answer(cache.health())
    finally:
        await cache.close()
    return _finding("stores", name, why, "MIDWATCH_REDIS_URL answers", "check MIDWATCH_REDIS_URL")


async def _cluster(settings: Settings) -> Finding:
    if settings.watches_sandbox:
        do = "midwatch up --context NAME watches a cluster of yours"
        return Finding(
            area="cluster", name="sandbox", state=State.ON, detail="simulated, started by midwatch up", do=do
        )

    async def version() -> None:
        async with open_cluster(settings) as connection:
            await connection.get("/version")

    name, why = settings.clusters[0], await _answer(version())
    return _finding("cluster", name, why, "answers", "check the kubeconfig, the context and the way to its API server")


async def _strangers(settings: Settings) -> Finding | None:
    """Clusters that alerts named lately and nobody watches; ``None`` where there are none, or the store is away."""
    url = settings.database_url.get_secret_value() if settings.database_url is not None else ""
    if not url:
        embedded = EmbeddedPostgres(settings.state_dir, settings.runtime_dir)
        url = embedded.url if embedded.alive() else ""
    if not url:
        return None
    database = Database(url, pool_size=1)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            rows = await open_stores(database).journal.recent(limit=_LATELY)
    except (MidwatchError, OSError, TimeoutError):
        return None  # the finding about the store says so
    finally:
        await database.close()
    return strange_clusters({row.cluster for row in rows}, settings.clusters)


def strange_clusters(named: Collection[str], watched: Sequence[str]) -> Finding | None:
    """What to do about incidents in clusters that are not watched."""
    strange = sorted(name for name in named if name and name not in watched)
    if not strange:
        return None
    shown = ", ".join(repr(name[:80]) for name in strange[:10])
    detail = f"alerts came from {shown}: reported, but neither looked at nor changed; watched: {', '.join(watched)}"
    do = not_watched(strange[0], watched)
    return Finding(area="cluster", name="other clusters", state=State.OFF, detail=detail, do=do)


def _acting(settings: Settings) -> Finding:
    name = "acting identity"
    if settings.act_kubeconfig is None and not settings.act_context:
        do = "MIDWATCH_ACT_KUBECONFIG gives the executor an identity of its own"
        detail = "acts with the identity that watches"
        return Finding(
            area="cluster", name=name, state=State.ON, detail=detail, do="" if settings.watches_sandbox else do
        )
    file = settings.act_kubeconfig
    why = "" if file is None or _readable(file) else f"{file} cannot be read"
    return _finding("cluster", name, why, "its own", "check MIDWATCH_ACT_KUBECONFIG")


def _readable(file: Path) -> bool:
    return file.is_file() and os.access(file, os.R_OK)


async def _prometheus(settings: Settings) -> Finding:
    name = "Prometheus"
    if settings.prometheus_url is None:
        do = "MIDWATCH_PROMETHEUS_URL adds numbers to reports and checks"
        return Finding(area="enrichment", name=name, state=State.OFF, detail="no address is set", do=do)

    async def one() -> None:
        async with open_prometheus(settings) as client:
            if client is not None:
                await client.query("vector(1)")

    return _finding("enrichment", name, await _answer(one()), "answers", "check MIDWATCH_PROMETHEUS_URL and its token")


def _policy(settings: Settings) -> Finding:
    try:
        policy = load_policy(settings.policy_file)
    except MidwatchError as error:
        return _finding("policy", "policy", str(error), "", "mend the file")
    detail = "frozen: nothing is changed" if policy.frozen else str(settings.policy_file)
    return Finding(area="policy", name="policy", state=State.ON, detail=detail)


async def _models(
    settings: Settings, *, ask_models: bool, transport: httpx2.AsyncBaseTransport | None
) -> AsyncGenerator[Finding, None]:
    try:
        registry = in_force(settings, load_models(settings.models_file))
        known = survey(settings, registry)
        providers = {each.name: each for each in providers_of(settings, registry, transport=transport)}
    except MidwatchError as error:
        yield _finding("models", "file of models", str(error), "", "mend the file, or DEFAULT_LLM_PROVIDER")
        return
    try:
        for place, found in enumerate(known):
            finding = _provider(registry, found, place)
            if ask_models and finding.state is State.ON:
                why = await _answer(providers[found.name].check(), _MODEL_S)
                asked = msgspec.structs.replace(finding, detail=f"{finding.detail}; answered")
                finding = _finding("models", found.name, why, "", _mend(found)) if why else asked
            yield finding
    finally:
        for provider in providers.values():
            await provider.close()
    if not providers:
        detail = "reports are those of the built-in analyser"
        do = "ANTHROPIC_API_KEY=… midwatch up is enough; docs/models.md lists the others"
        yield Finding(area="models", name="any model", state=State.OFF, detail=detail, do=do)


def _provider(registry: Registry, found: Found, place: int) -> Finding:
    if found.why_not:
        return Finding(area="models", name=found.name, state=State.OFF, detail=found.why_not)
    names = found.record.models
    models = " and ".join(dict.fromkeys(name for name in (names.large, names.small) if name))
    rank = "asked first" if place == 0 else f"fallback {place}"
    key = "key present" if found.has_key else "no key needed"
    unpriced = [each for each in (names.large, names.small) if each and not registry.priced(found.name, each)]
    do = f"give {' and '.join(unpriced)} a price in the file of models" if unpriced else ""
    return Finding(area="models", name=found.name, state=State.ON, detail=f"{rank}: {models}; {key}", do=do)


def _mend(found: Found) -> str:
    return f"check {found.record.key or 'its base_url'}, and the names of its models"


def _budget(what: str, budget: Budget) -> Finding:
    parts = (
        (budget.usd, f"{budget.usd:.2f} US dollars"),
        (budget.tokens, f"{budget.tokens:,} tokens"),
        (budget.model_calls, f"{budget.model_calls} calls"),
        (budget.tool_calls, f"{budget.tool_calls} tools"),
        (budget.wall_s, f"{budget.wall_s:g} s"),
    )
    limits = ", ".join(words for amount, words in parts if amount)
    state = State.ON if limits else State.OFF
    return Finding(area="budgets", name=what, state=state, detail=limits or "no limit")


def _finding(area: str, name: str, why: str, well: str, do: str) -> Finding:
    if why:
        return Finding(area=area, name=name, state=State.FAULT, detail=why, do=do)
    return Finding(area=area, name=name, state=State.ON, detail=well)
