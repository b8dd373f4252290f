"""`midwatch mcp check` reads the file and connects to nobody."""

import json
from pathlib import Path

from typer.testing import CliRunner

from midwatch.commands.mcp import app


def test_what_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"scan": {"url": "https://scan.example/mcp"}}}))
    ran = CliRunner().invoke(app, ["check", str(path)])
    assert ran.exit_code == 0, ran.output
    assert "no tool is allowed" in ran.output
    assert "1 servers" in ran.output


def test_faults_end_with_one(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"scan": {"uri": "https://scan.example/mcp"}}}')
    ran = CliRunner().invoke(app, ["check", str(path)])
    assert ran.exit_code == 1
    assert "uri" in ran.output


def test_a_cluster_that_nobody_watches_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"k8s": {"command": "x", "allow": ["y"], "clusters": ["*", "elsewhere"]}}}')
    ran = CliRunner().invoke(app, ["check", str(path)])
    assert ran.exit_code == 1
    assert "elsewhere not watched" in ran.output.replace("\n", " ")


def test_the_example_of_the_docs_is_sound(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "mcp.md").read_text()
    path = tmp_path / "mcp.json"
    path.write_text(page.split("```json\n")[1].split("```")[0])
    ran = CliRunner().invoke(app, ["check", str(path)])
    assert ran.exit_code == 0, ran.output
    assert "no tool is allowed" not in ran.output
