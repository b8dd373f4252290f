"""The configuration we ship, judged by the programs that will read it."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
import yaml

Tool = Callable[[str], str]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", ["receiver.yml", "alertmanager.yml"])
def test_amtool_accepts_the_alertmanager_files(name: str, tool: Tool, root: Path) -> None:
    result = run(tool("amtool"), "check-config", root / "cluster_config/alertmanager" / name)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 receivers" in result.stdout


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [(["alertname=Watchdog"], "midwatch"), (["alertname=KubePodCrashLooping", "namespace=shop"], "midwatch")],
)
def test_every_alert_is_routed_to_us(labels: list[str], receiver: str, tool: Tool, root: Path) -> None:
    config = root / "cluster_config/alertmanager/receiver.yml"
    result = run(tool("amtool"), "config", "routes", "test", f"--config.file={config}", *labels)
    assert result.stdout.strip() == receiver, result.stderr


def test_promtool_accepts_the_prometheus_files(tool: Tool, root: Path) -> None:
    folder = root / "cluster_config/prometheus"
    config = run(tool("promtool"), "check", "config", "--syntax-only", folder / "prometheus.yml")
    assert config.returncode == 0, config.stdout + config.stderr
    rules = run(tool("promtool"), "check", "rules", folder / "midwatch.rules.yml")
    assert rules.returncode == 0, rules.stdout + rules.stderr


RULE_TEST = """
rule_files: [midwatch.rules.yml]
evaluation_interval: 10s
tests:
  - interval: 10s
    input_series:
      - series: 'midwatch_actor_up{actor="rule-engine"}'
        values: '1x6 0x30'
      - series: 'midwatch_queue_depth{actor="rule-engine"}'
        values: '10x40'
    alert_rule_test:
      - eval_time: 4m
        alertname: MidwatchActorSilent
        exp_alerts:
          - exp_labels: { severity: critical, actor: rule-engine }
            exp_annotations:
              summary: rule-engine has not answered for a minute
              description: The supervisor restarts actors within seconds; this one does not come back.
      - eval_time: 4m
        alertname: MidwatchInboxGrows
        exp_alerts: []
"""


def test_the_rules_fire_when_they_should(tool: Tool, root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "cluster_config/prometheus/midwatch.rules.yml", tmp_path)
    (tmp_path / "test.yml").write_text(RULE_TEST)
    result = run(tool("promtool"), "test", "rules", tmp_path / "test.yml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_redis_command_of_compose_keeps_data_behind_a_password(tool: Tool, root: Path, tmp_path: Path) -> None:
    server = tool("redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]["redis"]["command"][-1]
    script = script.replace("$$", "$").replace("/tmp/redis.conf", str(tmp_path / "redis.conf"))
    script = re.sub(r"exec redis-server (\S+)", rf"exec {server} \1 --bind 127.0.0.1 --port {port}", script)

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["sh", "-c", script], cwd=tmp_path, env={**os.environ, "REDIS_PASSWORD": "from-the-env"}
        )

    def answering() -> "redis.Redis":
        client = redis.Redis(port=port, password="from-the-env")
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "redis does not answer"
                time.sleep(0.05)
            else:
                return client

    process = start()
    try:
        with answering() as client:
            assert str(client.info("server")["redis_version"]).startswith("7.")
            client.set("card", "kept")
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.get("card")
        process.terminate()
        process.wait(10)
        process = start()
        with answering() as client:
            assert client.get("card") == b"kept"
    finally:
        process.terminate()
        process.wait(10)
