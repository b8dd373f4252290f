"""The doctor names what is on, off and broken, tells no key, and asks a provider only when told to."""

import socket
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from midwatch.bootstrap.doctor import Finding, State, examine, strange_clusters
from midwatch.cli import app
from midwatch.settings import load_settings
from tests.fakes.llm_server import Error, LlmServer, says

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:anthropic")
KEY = "sk-of-the-doctors-test-0123456789"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIDWATCH_STATE_DIR", str(tmp_path))


async def look(*, server: LlmServer | None = None) -> dict[str, Finding]:
    transport = httpx2.ASGITransport(app=server.app()) if server is not None else None
    examined = examine(load_settings(), ask_models=server is not None, transport=transport)
    return {finding.name: finding async for finding in examined}


async def test_a_fresh_machine_has_no_fault_and_says_how_to_get_a_model() -> None:
    found = await look()
    assert {each.state for each in found.values()} == {State.ON, State.OFF}
    assert "ANTHROPIC_API_KEY" in found["any model"].do
    assert (found["PostgreSQL"].state, found["sandbox"].state) == (State.ON, State.ON)
    assert "ANTHROPIC_API_KEY" in found["anthropic"].detail


async def test_a_key_switches_its_provider_on_and_stays_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = await look()
    assert "asked first: claude-sonnet-5-5 and claude-haiku-5-5; key present" in found["anthropic"].detail
    assert "fallback 1" in found["openai"].detail
    assert "price" in found["openai"].do
    assert "any model" not in found
    assert KEY not in str(found)


@pytest.mark.parametrize(
    ("server", "state", "detail"),
    [
        (LlmServer(says("here")), State.ON, "answered"),
        (LlmServer(Error(401, "authentication_error", f"bad {KEY}")), State.FAULT, "check the key"),
        (LlmServer(Error(404, "not_found_error", "model: x")), State.FAULT, "model: x"),
    ],
)
async def test_a_check_really_asks(
    monkeypatch: pytest.MonkeyPatch, server: LlmServer, state: State, detail: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    found = await look(server=server)
    assert found["anthropic"].state is state
    assert detail in found["anthropic"].detail
    assert len(server.requests) == 1
    assert KEY not in str(found)


async def test_what_does_not_answer_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("MIDWATCH_DATABASE_URL", f"postgresql://u:hunter2hunter2@127.0.0.1:{port}/x")
    monkeypatch.setenv("MIDWATCH_REDIS_URL", f"redis://:hunter2hunter2@127.0.0.1:{port}")
    monkeypatch.setenv("MIDWATCH_PROMETHEUS_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MIDWATCH_CONTEXT", "nowhere")
    monkeypatch.setenv("MIDWATCH_KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("MIDWATCH_ACT_KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("MIDWATCH_POLICY_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("MIDWATCH_MODELS_FILE", str(tmp_path / "none"))
    found = await look()
    faulty = {name for name, each in found.items() if each.state is State.FAULT}
    assert faulty == {
        "PostgreSQL", "Redis", "Prometheus", "nowhere", "acting identity", "policy", "file of models"
    }  # fmt: skip
    assert all(found[name].do for name in faulty)
    assert "hunter2" not in str(found)


def test_the_command_exits_by_what_it_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = CliRunner()
    well = run.invoke(app, ["doctor"])
    assert well.exit_code == 0, well.output
    assert "No faults." in well.output
    monkeypatch.setenv("MIDWATCH_POLICY_FILE", str(tmp_path / "none"))
    ill = run.invoke(app, ["doctor", "--json"])
    assert ill.exit_code == 1
    assert '"state":"fault"' in ill.output
    monkeypatch.setenv("MIDWATCH_PROT", "1")
    assert run.invoke(app, ["doctor"]).exit_code == 2
    assert "ANTHROPIC_API_KEY" in run.invoke(app, ["doctor", "--help"]).output


def test_alerts_of_unknown_clusters_name_the_setting_that_makes_them_ours() -> None:
    found = strange_clusters({"prod-eu", "sandbox", ""}, ("sandbox",))
    assert found is not None
    assert (found.area, found.state) == ("cluster", State.OFF)
    assert "'prod-eu'" in found.detail
    assert "MIDWATCH_CLUSTER_ALIASES=prod-eu=sandbox" in found.do
    assert strange_clusters({"sandbox"}, ("sandbox",)) is None
