"""Logs carry no secret; metrics of all actors make one page."""

import json
import logging

import pytest

from midwatch.domain.masking import mask
from midwatch.telemetry import TRAFFIC, Metrics, exposition, set_up_logging


@pytest.fixture
def _root_restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for talk in (logging.getLogger(f"midwatch.traffic.{stream}") for stream in TRAFFIC):
        for handler in talk.handlers:
            handler.close()
        talk.handlers, talk.propagate = [], True
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers, root.level = handlers, level


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef123456",
        "password=abcdef123456",
        '{"api_key": "abcdef123456"}',
        "postgresql://user:abcdef123456@db/x",
        '{"name": "DB_PASSWORD", "value": "abcdef123456 with spaces"}',
        "-----BEGIN RSA PRIVATE KEY-----\nabcdef123456\n-----END RSA PRIVATE KEY-----",
        "GITLAB_TOKEN=abcdef123456",
        "MYSQL_PWD=abcdef123456",
        '{"name": "MYSQL_PWD", "value": "abcdef123456"}',
        "- name: MYSQL_PWD\n  value: abcdef123456",
        '["mysqld", "--db-password", "abcdef123456"]',
        "- --password\n- abcdef123456",
    ],
)
def test_secrets_are_blanked(text):
    assert "abcdef123456" not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "pod web-1 restarted 5 times: exit code 1",
        "PWD=/app/src OLDPWD=/app",
        '{"name": "PWD", "value": "/app/src"}',
        "- name: OLDPWD\n  value: /app/src",
        '["--password-file", "/run/secrets/db", "--auth-token", "--verbose"]',
        '["password", "username"]',
    ],
)
def test_ordinary_text_stays(text):
    assert mask(text) == text


@pytest.mark.usefixtures("_root_restored")
def test_a_log_line_is_json_with_its_fields_and_without_secrets(tmp_path):
    set_up_logging("rule-engine", level="INFO", folder=tmp_path)
    logging.getLogger("midwatch.x").info("opened token=abcdef123456", extra={"incident": "i-1"})
    line = json.loads((tmp_path / "rule-engine.jsonl").read_text())
    assert (line["incident"], line["actor"], line["level"]) == ("i-1", "rule-engine", "info")
    assert "abcdef" not in line["event"]


def test_all_actors_make_one_page():
    one = Metrics()
    one.signals.labels("watch", "firing").inc(3)
    page = exposition({"watcher:a": one.families(), "gone": None}).decode()
    assert 'midwatch_signals_total{actor="watcher:a",source="watch",status="firing"} 3.0' in page
    assert 'midwatch_actor_up{actor="gone"} 0.0' in page
    assert 'midwatch_actor_up{actor="watcher:a"} 1.0' in page


@pytest.mark.usefixtures("_root_restored")
def test_traffic_has_files_of_its_own(tmp_path):
    set_up_logging("rca-1", level="INFO", folder=tmp_path)
    logging.getLogger("midwatch.traffic.mcp").info("tool called", extra={"said": "password=abcdef123456"})
    logging.getLogger("midwatch.traffic.model").debug("not at this level")
    logging.getLogger("midwatch.other").info("elsewhere")
    (line,) = (tmp_path / "rca-1.mcp-traffic.jsonl").read_text().splitlines()
    assert json.loads(line)["actor"] == "rca-1"
    assert "abcdef123456" not in line
    assert "tool called" not in (tmp_path / "rca-1.jsonl").read_text()
    assert not (tmp_path / "rca-1.model-traffic.jsonl").exists()
