"""From the file and the environment to a model that answers: one key is enough, and a change is in force at once."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx2
import pytest

from midwatch.adapters.catalog.models import FileModels, load_models
from midwatch.adapters.catalog.yaml_source import Faults
from midwatch.bootstrap import Resources
from midwatch.bootstrap import models as bootstrap
from midwatch.bootstrap.models import in_force, open_model, survey
from midwatch.domain.dialogue import ModelRequest, UserTurn
from midwatch.domain.errors import Invalid
from midwatch.domain.providers import LAYERS, Registry
from midwatch.services.models.front import Models
from midwatch.services.models.ports import Middleware
from midwatch.settings import Settings, load_settings
from midwatch.telemetry import Metrics
from tests.fakes.llm_server import Error, LlmServer, says
from tests.fakes.runtime import ManualClock
from tests.fakes.stores import MemoryStore

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:anthropic")
SHIPPED = Settings().models_file
REQUEST = ModelRequest(system="s", turns=(UserTurn("password=hunter2hunter2"),))


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIDWATCH_STATE_DIR", str(tmp_path))


def resources_of(store: MemoryStore | None = None) -> Resources:
    given = SimpleNamespace(settings=load_settings(), clock=ManualClock(), stores=store or MemoryStore())
    return cast("Resources", given)


def model_over(server: LlmServer, metrics: Metrics | None = None, store: MemoryStore | None = None) -> Models:
    transport = httpx2.ASGITransport(app=server.app())
    model = open_model(resources_of(store), metrics, transport=transport)
    assert model is not None
    return model


def shipped() -> Registry:
    return load_models(SHIPPED)


def on() -> list[str]:
    return [found.name for found in survey(load_settings(), shipped()) if not found.why_not]


def test_without_a_key_there_is_no_model() -> None:
    assert open_model(resources_of()) is None
    assert on() == []


async def test_one_key_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k-0123456789")
    server, metrics, store = LlmServer(says("oom")), Metrics(), MemoryStore()
    model = model_over(server, metrics, store)
    reply = await model.ask(REQUEST)
    await model.close()
    assert (reply.provider, reply.model, reply.turn.text) == ("anthropic", "claude-sonnet-5-5", "oom")
    assert reply.cost_usd == pytest.approx((100 * 3 + 20 * 15) / 1e6)
    assert server.headers[0]["authorization"] == "Bearer k-0123456789"
    assert "hunter2" not in str(server.requests)
    page = {(sample[0], *sample[1].values()): sample[2] for family in metrics.families() for sample in family[3]}
    assert page["midwatch_model_calls_total", "anthropic", "claude-sonnet-5-5", "ok"] == 1
    assert page["midwatch_model_tokens_total", "anthropic", "claude-sonnet-5-5", "output"] == 20
    (row,) = await store.spend.since(ManualClock().now().date())
    assert row.usd == reply.cost_usd


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, ["anthropic", "openai"]),
        ({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "DEFAULT_LLM_PROVIDER": "openai"}, ["openai", "anthropic"]),
        ({"GEMINI_API_KEY": "k", "XAI_API_KEY": "k"}, ["gemini", "xai"]),
        ({"AZURE_OPENAI_API_KEY": "k"}, []),
        (
            {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://r/", "AZURE_OPENAI_DEPLOYMENT": "d"},
            ["azure"],
        ),
        ({"OLLAMA_BASE_URL": "http://127.0.0.1:11434"}, ["ollama"]),
        ({"GITHUB_TOKEN": "k", "HF_TOKEN": "k"}, []),
        ({"GITHUB_TOKEN": "k", "DEFAULT_LLM_PROVIDER": "github"}, ["github"]),
        ({"GITHUB_TOKEN": "k", "DEFAULT_LLM_PROVIDER": "github", "MIDWATCH_ENVIRONMENT": "prod"}, []),
        ({"MIDWATCH_ANTHROPIC_API_KEY": "k"}, ["anthropic"]),
    ],
)
def test_who_is_asked_follows_from_the_keys(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert on() == expected
    assert "k" not in {str(found.record.key) for found in survey(load_settings(), shipped())}


def test_a_key_travels_with_the_settings_to_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k-of-the-starter")
    settings = load_settings()
    monkeypatch.delenv("OPENAI_API_KEY")
    assert settings.model_variables()["OPENAI_API_KEY"] == "k-of-the-starter"
    assert "k-of-the-starter" not in repr(settings)
    assert "OPENAI_API_KEY" not in os.environ


def test_a_lab_may_name_its_model_and_prod_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("MIDWATCH_LLM_MODEL", "claude-opus-5-5")
    assert in_force(load_settings(), shipped()).providers["anthropic"].models.large == "claude-opus-5-5"
    monkeypatch.setenv("MIDWATCH_ENVIRONMENT", "nonprod")
    assert in_force(load_settings(), shipped()).providers["anthropic"].models.large == "claude-sonnet-5-5"
    monkeypatch.setenv("MIDWATCH_ENVIRONMENT", "lab")
    monkeypatch.setenv("DEFAULT_LLM_PROVIDER", "antropic")
    with pytest.raises(Invalid, match="anthropic"):
        survey(load_settings(), shipped())


async def test_the_next_provider_goes_on_when_one_is_overloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "k")
    server = LlmServer(script=lambda body: says("here") if "max_completion_tokens" in body else Error(400, "bad"))
    model = model_over(server)
    assert (await model.ask(REQUEST)).provider == "openai"
    await model.close()


FILE = """
providers:
  one: {kind: custom, base_url: "http://one/v1", models: {large: m}}
  two: {kind: custom, base_url: "http://two/v1", models: {large: m}}
default: NAME
"""


async def test_an_edit_is_in_force_at_the_next_call_and_a_bad_one_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(FILE.replace("NAME", "one"))
    monkeypatch.setenv("MIDWATCH_MODELS_FILE", str(file))
    model = model_over(LlmServer(says("x")))
    asked = [(await model.ask(REQUEST)).provider]
    for text in (
        FILE.replace("NAME", "two  "),
        "providers: [",
        FILE.replace("NAME", "two") + "middleware: [{use: nobody, priority: 5}]",
    ):
        file.write_text(text)
        asked.append((await model.ask(ModelRequest(system=text, turns=REQUEST.turns))).provider)
    assert asked == ["one", "two", "two", "two"]
    await model.close()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "providers: {a: {kind: custom, base_url: 'http://x', models: {large: m}, key: abc}}",
            ":1: a key is given by reference",
        ),
        ("providers: {a: {kind: openai}}", "names no model"),
        ("providers: {a: {kind: ollama, models: {large: m}}}", "needs a base_url"),
        ("providers: {a: {kind: openai, models: {large: m}, colour: red}}", "colour"),
        ("default: b\nproviders: {a: {kind: openai, models: {large: m}}}", ":1: there is no provider 'b'"),
        ("providers: {}\nmiddleware: [{use: cache, priority: 101}]", "1 to 100"),
        ("providers: {a: {kind: banana, models: {large: m}}}", "banana"),
    ],
)
def test_mistakes_in_the_file_are_named_with_their_line(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(text)
    with pytest.raises(Faults, match=fault):
        FileModels(file)


def test_the_shipped_chain_is_the_chain_without_a_file() -> None:
    assert [(each.use, each.priority, each.critical) for each in shipped().middleware] == [
        (each.use, each.priority, each.critical) for each in LAYERS
    ]


class Custom(Middleware):
    def __init__(self, word: str) -> None:
        self.word = word

    async def before(self, request: ModelRequest) -> ModelRequest:
        return ModelRequest(system=self.word, turns=request.turns)


async def test_a_middleware_of_somebody_else_is_found_by_its_entry_point(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def found(*, group: str, name: str) -> list[SimpleNamespace]:
        known = {("midwatch.model_middleware", "shouting"): Custom, ("midwatch.model_middleware", "odd"): dict}
        return [SimpleNamespace(load=lambda: known[group, name])] if (group, name) in known else []

    monkeypatch.setattr(bootstrap, "entry_points", found)
    file = tmp_path / "models.yaml"
    monkeypatch.setenv("MIDWATCH_MODELS_FILE", str(file))
    file.write_text(FILE.replace("NAME", "one") + "middleware: [{use: shouting, priority: 5, options: {word: LOUD}}]")
    server = LlmServer(says("x"))
    model = model_over(server)
    await model.ask(REQUEST)
    await model.close()
    assert server.requests[0]["messages"][0] == {"role": "system", "content": "LOUD"}
    for wrong in (
        "{use: nobody, priority: 5}",
        "{use: odd, priority: 5}",
        "{use: retry, priority: 5, options: {no: 1}}",
    ):
        file.write_text(FILE.replace("NAME", "one") + f"middleware: [{wrong}]")
        with pytest.raises(Invalid, match="middleware"):
            model_over(server)
