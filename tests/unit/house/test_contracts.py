"""Each import contract of pyproject.toml is kept by a clean house and broken by one planted import.

The house here is a graph made by hand, so the test says what a contract means and not what the tree looks like today;
`lint-imports` checks the tree itself.
"""

import re
from copy import deepcopy
from typing import Any

import grimp
import pytest
from importlinter import api
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract

KINDS: dict[str, Any] = {"layers": LayersContract, "forbidden": ForbiddenContract, "independence": IndependenceContract}

OURS = (
    "serve", "serve.app", "serve.routes", "actors", "actors.watcher", "actors.clients",
    "midwatch", "midwatch.commands.rules",
    "midwatch.adapters.system", "midwatch.adapters.slack", "midwatch.adapters.slack.channel",
    "midwatch.adapters.store", "midwatch.adapters.store.journal", "midwatch.services.ports",
    "midwatch.services.ingestion", "midwatch.sandbox.server",
    "midwatch.domain.incidents",
)  # fmt: skip

ALLOWED = (
    ("serve.app", "actors.clients"),
    ("serve.app", "midwatch.bootstrap"),
    ("serve.app", "fastapi"),
    ("actors.watcher", "ray"),
    ("actors.watcher", "midwatch.bootstrap"),
    ("midwatch.cli", "midwatch.commands.rules"),
    ("midwatch.commands.rules", "midwatch.bootstrap"),
    ("midwatch.bootstrap", "midwatch.adapters.store.journal"),
    ("midwatch.bootstrap", "midwatch.adapters.slack.channel"),
    ("midwatch.bootstrap", "midwatch.settings"),
    ("midwatch.bootstrap", "midwatch.services.ingestion"),
    ("midwatch.adapters.store.journal", "midwatch.services.ports"),
    ("midwatch.adapters.store.journal", "midwatch.adapters.system"),
    ("midwatch.adapters.store.journal", "sqlalchemy"),
    ("midwatch.sandbox.server", "midwatch.adapters.system"),
    ("midwatch.services.ingestion", "midwatch.domain.incidents"),
    ("midwatch.settings", "pydantic"),
)

VIOLATIONS = (
    ("house", "midwatch.services.ingestion", "actors.clients"),
    ("house", "midwatch.bootstrap", "serve.app"),
    ("house", "actors.watcher", "serve.routes"),
    ("library", "midwatch.domain.incidents", "midwatch.services.ports"),
    ("library", "midwatch.domain.incidents", "midwatch.settings"),
    ("library", "midwatch.services.ingestion", "midwatch.adapters.store.journal"),
    ("library", "midwatch.services.ingestion", "midwatch.settings"),
    ("library", "midwatch.adapters.slack.channel", "midwatch.settings"),
    ("library", "midwatch.adapters.slack.channel", "midwatch.bootstrap"),
    ("library", "midwatch.sandbox.server", "midwatch.services.ingestion"),
    ("library", "midwatch.bootstrap", "midwatch.commands.rules"),
    ("library", "midwatch.commands.rules", "midwatch.cli"),
    ("adapters-apart", "midwatch.adapters.slack.channel", "midwatch.adapters.store.journal"),
    ("adapters-apart", "midwatch.adapters.slack", "midwatch.adapters.store"),
    ("no-frameworks-in-the-library", "midwatch.bootstrap", "ray"),
    ("no-frameworks-in-the-library", "midwatch.sandbox.server", "fastapi"),
    ("no-http-in-actors", "actors.watcher", "fastapi"),
    ("pure-core", "midwatch.domain.incidents", "pydantic"),
    ("pure-core", "midwatch.services.ingestion", "sqlalchemy"),
    ("pure-core", "midwatch.services.ingestion", "kubernetes"),
    ("rim-through-bootstrap", "actors.watcher", "midwatch.adapters.store.journal"),
    ("rim-through-bootstrap", "serve.routes", "midwatch.adapters.slack"),
)

CONFIG = api.read_configuration("pyproject.toml")
CONTRACTS: dict[str, dict[str, Any]] = {options["id"]: options for options in CONFIG["contracts_options"]}


@pytest.fixture(scope="module")
def house() -> grimp.ImportGraph:
    graph = grimp.ImportGraph()
    layers = [layer for line in CONTRACTS["library"]["layers"] for layer in re.findall(r"\w+", line)]
    for module in {*OURS, *(f"midwatch.{layer}" for layer in layers)}:
        graph.add_module(module)
    outside = {name for options in CONTRACTS.values() for name in options.get("forbidden_modules", ())}
    for module in sorted(name for name in outside if not name.startswith("midwatch")):
        graph.add_module(module, is_squashed=True)
    for importer, imported in ALLOWED:
        graph.add_import(importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}")
    return graph


def kept(contract: str, graph: grimp.ImportGraph) -> bool:
    options = CONTRACTS[contract]
    checker = KINDS[options["type"]](options["name"], CONFIG["session_options"], options)
    return bool(checker.check(deepcopy(graph), verbose=False).kept)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_clean_house_keeps_the_contract(contract: str, house: grimp.ImportGraph) -> None:
    assert kept(contract, house)


@pytest.mark.parametrize(("contract", "importer", "imported"), VIOLATIONS)
def test_one_planted_import_breaks_it(contract: str, importer: str, imported: str, house: grimp.ImportGraph) -> None:
    graph = deepcopy(house)
    graph.add_import(importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}")
    assert not kept(contract, graph)


def test_every_contract_was_broken_once() -> None:
    assert {contract for contract, _, _ in VIOLATIONS} == set(CONTRACTS)
