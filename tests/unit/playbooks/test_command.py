"""`midwatch playbooks check` names every fault with file and line."""

from pathlib import Path

from typer.testing import CliRunner

from midwatch.commands.playbooks import app

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
