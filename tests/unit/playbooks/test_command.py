"""`midwatch playbooks check` names every fault with file and line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from midwatch.bootstrap.previewing import own_cluster
from midwatch.commands import playbooks
from midwatch.commands.playbooks import app
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident
from midwatch.settings import Settings

ROOT = Path(__file__).parents[3]


def test_the_shipped_files_are_sound() -> None:
    ran = CliRunner().invoke(app, ["check"])
    assert ran.exit_code == 0, ran.output
    assert "every example holds" in ran.output


def test_every_fault_is_named(tmp_path: Path) -> None:
    good = (ROOT / "playbooks" / "restart-workload.yaml").read_text()
    (tmp_path / "a.yaml").write_text(good.replace("MEDIUM", "LOW"))
    (tmp_path / "b.yaml").write_text(good.replace("rollout_restart", "reboot"))
    policy = tmp_path / "policy.yml.off"
    policy.write_text("frozzen: true\n")
    ran = CliRunner().invoke(app, ["check", str(tmp_path), "--policy", str(policy)])
    assert ran.exit_code == 1
    said = ran.output.replace("\n", "")
    assert "a.yaml:8: rollout_restart is at least MEDIUM" in said
    assert "b.yaml:7: unknown action 'reboot'" in said
    assert "frozzen" in said


def test_a_target_that_is_none_is_explained() -> None:
    ran = CliRunner().invoke(app, ["plan", "restart-workload", "web"])
    assert ran.exit_code == 1
    assert "KIND/NAMESPACE/NAME" in ran.output


class OneIncident:
    """The API's answer about an incident in a cluster that nobody here knows."""

    def get(self, path: str, kind: type[Incident]) -> Incident:
        return kind(id=IncidentId("i"), cluster="elsewhere")


def test_an_incident_of_another_cluster_is_not_planned_for_here(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def answers() -> Iterator[OneIncident]:
        yield OneIncident()

    monkeypatch.setattr(playbooks, "open_api", answers)
    ran = CliRunner().invoke(app, ["plan", "i"])
    assert ran.exit_code == 1
    said = " ".join(ran.output.split())
    assert "the incident is in cluster 'elsewhere'" in said
    assert "say --context, or set MIDWATCH_CONTEXT" in said


def test_an_incident_is_looked_at_in_its_own_cluster(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, state_dir=tmp_path, context="first", contexts=("second=other",))  # type: ignore[call-arg]
    assert own_cluster(settings, "second").context == "other"
    assert own_cluster(settings, "first").context == "first"
    sandbox = own_cluster(Settings(_env_file=None, state_dir=tmp_path), "sandbox")  # type: ignore[call-arg]
    assert sandbox.kubeconfig == tmp_path / "sandbox.kubeconfig"
