"""``midwatch audit`` against a real edge on loopback."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from midwatch.cli import app
from midwatch.domain.audit import AuditRow
from tests.integration.night import TOKEN, Night
from tests.unit.edge import scenes


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Night]:
    monkeypatch.setenv("MIDWATCH_STATE_DIR", str(tmp_path))
    (tmp_path / "api-token").write_text(TOKEN + "\n")
    with Night() as running:
        monkeypatch.setenv("MIDWATCH_PORT", str(running.port))
        yield running


INCIDENT = "0000000a-0000-7000-8000-000000000001"


def audit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def test_an_incident_is_shown_exported_and_verified(night: Night) -> None:
    assert "is empty" in audit("verify").stdout
    night.tell(INCIDENT, scenes.opened(), scenes.diagnosed(), scenes.asked())

    shown = audit("--since", "10000d")
    assert "approval-requested" in shown.stdout
    rows = [msgspec.json.decode(line, type=AuditRow) for line in audit("export").stdout.splitlines()]
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    whole = audit("verify")
    assert f"{len(rows)} rows, head {len(rows)}:{rows[-1].hash}" in whole.stdout
    assert audit("verify", "--head", f"1:{rows[0].hash}").exit_code == 0
    assert audit("verify", "--head", f"1:{rows[1].hash}").exit_code == 1
    assert audit("verify", "--head", f"{len(rows) + 1}:{rows[0].hash}").exit_code == 1


def test_a_changed_row_is_named(night: Night) -> None:
    night.tell(INCIDENT, scenes.opened(), scenes.diagnosed(), scenes.asked())
    trail = night.store.audit.trail
    trail[0] = msgspec.structs.replace(trail[0], record=msgspec.structs.replace(trail[0].record, who="console:mallory"))
    broken = audit("verify")
    assert broken.exit_code == 1
    assert "row 1 was changed" in broken.output


def test_nothing_in_that_time_and_no_such_time(night: Night) -> None:
    assert "Nothing was decided" in audit("--since", "1s").stdout
    assert audit("--since", "yesterday").exit_code == 2
