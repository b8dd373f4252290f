"""The files other programs read: each fits its schema, and what one file names, another one has.

The schemas hold the part of each format that is used here, and are strict about it. `.ci/run` asks the real tools too.
"""

import ast
import importlib.util
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from midwatch.settings import Settings
from midwatch.telemetry import Metrics

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "cluster_config"
SCHEMAS = Path(__file__).parent / "schemas"


def documents(path: Path) -> list[Any]:
    text = path.read_text()
    return [json.loads(text)] if path.suffix == ".json" else list(yaml.safe_load_all(text))


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text())


COMPOSE = documents(ROOT / "docker-compose.yml")[0]
SERVICES = COMPOSE["services"]
RBAC = documents(CONFIG / "kuberay/rbac.yaml")
RAYSERVICE = documents(CONFIG / "kuberay/rayservice.yaml")[0]
DASHBOARD = documents(CONFIG / "grafana/dashboards/midwatch.json")[0]
RULES = documents(CONFIG / "prometheus/midwatch.rules.yml")[0]
PROMETHEUS = documents(CONFIG / "prometheus/prometheus.yml")[0]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("compose", "docker-compose.yml"),
        ("prometheus", "cluster_config/prometheus/prometheus.yml"),
        ("prometheus-rules", "cluster_config/prometheus/midwatch.rules.yml"),
        ("alertmanager", "cluster_config/alertmanager/alertmanager.yml"),
        ("alertmanager", "cluster_config/alertmanager/receiver.yml"),
        ("grafana-datasources", "cluster_config/grafana/provisioning/datasources/prometheus.yaml"),
        ("grafana-providers", "cluster_config/grafana/provisioning/dashboards/midwatch.yaml"),
        ("grafana-dashboard", "cluster_config/grafana/dashboards/midwatch.json"),
        ("serve", "cluster_config/serve.yaml"),
        ("rbac", "cluster_config/kuberay/rbac.yaml"),
    ],
)
def test_a_file_fits_its_schema(name: str, file: str) -> None:
    for document in documents(ROOT / file):
        jsonschema.validate(document, schema(name))


def test_the_ray_service_fits_its_schema() -> None:
    jsonschema.validate(RAYSERVICE, schema("rayservice"))


def test_the_ray_up_file_fits_rays_own_schema() -> None:
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    rays = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(documents(CONFIG / "ray/cluster.yaml")[0], rays)


# ------------------------------------------------------------------------------------------------------------- compose


def test_compose_has_what_was_promised() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert set(images) == {"app", "postgres", "redis", "prometheus", "alertmanager", "grafana"}
    assert images["postgres"].startswith("postgres:16")
    assert images["redis"].startswith("redis:7")
    assert "--appendonly yes" in SERVICES["redis"]["command"][-1]
    assert SERVICES["app"]["command"] == ["midwatch", "up"]


def test_compose_names_only_what_it_has() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).is_dir() if source.startswith("./") else source in COMPOSE["volumes"]


def test_compose_secrets_come_from_the_env_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    offered = set(re.findall(r"^(\w+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert required == offered
    assert {secret["environment"] for secret in COMPOSE["secrets"].values()} <= offered


def variables() -> Iterator[tuple[str, str]]:
    yield from (("docker-compose.yml", name) for name in SERVICES["app"]["environment"])
    yield from (("Dockerfile", name) for name in re.findall(r"\b(MIDWATCH_\w+)=", (ROOT / "Dockerfile").read_text()))
    for group in ray_groups():
        yield from (("rayservice.yaml", item["name"]) for item in container(group)["env"])


@pytest.mark.parametrize("file", ["docker-compose.yml", "Dockerfile", "rayservice.yaml"])
def test_every_setting_named_in_a_file_exists(file: str) -> None:
    ours = {name for source, name in variables() if source == file and name.startswith("MIDWATCH_")}
    assert ours
    assert {name.removeprefix("MIDWATCH_").lower() for name in ours} <= set(Settings.model_fields)


def test_the_image_is_built_from_what_it_is_sent() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    named = {name for group in copied for name in group.split()}
    assert named <= sent
    assert all((ROOT / name).exists() for name in named)


def test_the_image_has_a_python_we_support() -> None:
    found = re.search(r"^ARG PYTHON=(3\.\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert found
    assert f"Programming Language :: Python :: {found[1]}" in project["classifiers"]


# ------------------------------------------------------------------------------- prometheus, alertmanager and grafana


def our_port() -> str:
    return str(Settings.model_fields["port"].default)


def test_prometheus_scrapes_services_that_are_there() -> None:
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    targets = [target for job in jobs.values() for group in job["static_configs"] for target in group["targets"]]
    assert {target.split(":")[0] for target in targets} <= {*SERVICES, "localhost"}
    assert jobs["midwatch"]["static_configs"][0]["targets"] == [f"app:{our_port()}"]
    assert all((CONFIG / "prometheus" / name).is_file() for name in PROMETHEUS["rule_files"])


def test_the_heartbeat_never_stops() -> None:
    alerts = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
    assert alerts["Watchdog"]["expr"] == "vector(1)"


def counted() -> set[str]:
    """Every sample name that /metrics can have."""
    names = {"midwatch_actor_up", "up", "vector"}
    for name, kind, _, _ in Metrics().families():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])
        names |= {name + suffix for suffix in suffixes}
    return names


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for group in RULES["groups"] for rule in group["rules"])
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_uses_metrics_that_exist(expression: str) -> None:
    assert set(re.findall(r"\bmidwatch_\w+", expression)) <= counted()


def test_the_dashboard_shows_every_metric() -> None:
    targets = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
    shown = {name for target in targets for name in re.findall(r"\bmidwatch_\w+", target["expr"])}
    families = {name for name, _, _, _ in Metrics().families()}
    assert {name for name in families if not any(sample.startswith(name) for sample in shown)} == set()


def test_the_dashboard_is_in_order() -> None:
    sources = documents(CONFIG / "grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"]
    uids = {source["uid"] for source in sources}
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} <= uids
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} covers another panel"
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_grafana_finds_its_files_where_compose_puts_them() -> None:
    mounted = {volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    provider = documents(CONFIG / "grafana/provisioning/dashboards/midwatch.yaml")[0]["providers"][0]
    assert provider["options"]["path"] in mounted
    assert "/etc/grafana/provisioning" in mounted


@pytest.mark.parametrize("file", ["alertmanager.yml", "receiver.yml"])
def test_alertmanager_routes_to_receivers_it_has(file: str) -> None:
    config = documents(CONFIG / "alertmanager" / file)[0]
    routes = [config["route"], *config["route"]["routes"]]
    assert {route["receiver"] for route in routes} == {receiver["name"] for receiver in config["receivers"]}


def test_the_token_is_where_its_readers_look() -> None:
    secret = f"/run/secrets/{next(iter(COMPOSE['secrets']))}"
    inside = documents(CONFIG / "alertmanager/alertmanager.yml")[0]["receivers"][0]["webhook_configs"][0]
    assert inside["http_config"]["authorization"]["credentials_file"] == secret
    assert inside["url"].startswith(f"http://app:{our_port()}/")
    assert PROMETHEUS["scrape_configs"][0]["authorization"]["credentials_file"] == secret


# ----------------------------------------------------------------------------------------------------- ray and kuberay


def ray_groups() -> list[Any]:
    cluster = RAYSERVICE["spec"]["rayClusterConfig"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def container(group: Any) -> Any:
    return group["template"]["spec"]["containers"][0]


def test_serve_is_deployed_alike_everywhere() -> None:
    alone = documents(CONFIG / "serve.yaml")[0]
    inside = yaml.safe_load(RAYSERVICE["spec"]["serveConfigV2"])
    assert inside["http_options"].pop("host") == "0.0.0.0"
    assert alone["http_options"].pop("host") == "127.0.0.1"
    assert inside == alone
    assert str(alone["http_options"]["port"]) == our_port()


def test_the_import_path_leads_to_a_function() -> None:
    module, _, function = documents(CONFIG / "serve.yaml")[0]["applications"][0]["import_path"].partition(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_ray_is_the_one_that_is_locked() -> None:
    locked = re.search(r"^ray==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked
    assert RAYSERVICE["spec"]["rayClusterConfig"]["rayVersion"] == locked[1]


def test_the_images_carry_our_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {SERVICES["app"]["image"], *(container(group)["image"] for group in ray_groups())}
    assert images == {f"midwatch:{version}"}


def test_nodes_offer_what_actors_ask_for() -> None:
    offered = [json.loads(json.loads(group["rayStartParams"]["resources"].strip("'"))) for group in ray_groups()]
    assert "head" in offered[0]
    assert all("rca" in group for group in offered[1:])


@pytest.mark.parametrize(
    ("script", "places", "offered"),
    [
        ("head.sh", "", {"head": 1, "rca": 2}),
        ("head.sh", "0", {"head": 1, "rca": 0}),
        ("worker.sh", "", {"rca": 4}),
        ("worker.sh", "7", {"rca": 7}),
    ],
)
def test_a_node_offers_places_for_investigators(
    script: str, places: str, offered: dict[str, int], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("made up")
    environment = {
        "PATH": "/usr/bin:/bin",
        "RAY": "echo",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "GCS_DIR": str(tmp_path / "gcs"),
        "HEAD_IP": "10.0.0.1",
        "NODE_IP": "10.0.0.1",
        "RCA_PLACES": places,
    }
    command = [str(CONFIG / "ray" / script)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.search(r"--resources=(\{.*?\})", told)
    assert found
    assert json.loads(found[1]) == offered


def test_ray_is_never_open_and_never_talks() -> None:
    text = (CONFIG / "ray/env.sh").read_text()
    assert "RAY_AUTH_MODE=token" in text
    assert "RAY_USAGE_STATS_REPORT_URL=http://127.0.0.1:9/" in text
    assert "--dashboard-host=127.0.0.1" in (CONFIG / "ray/head.sh").read_text()


# ---------------------------------------------------------------------------------------------------------------- rbac

MUTATING = {"create", "patch", "update", "delete"}
ROLES = {document["metadata"]["name"]: document["rules"] for document in RBAC if document["kind"] == "ClusterRole"}


def test_the_reading_roles_change_nothing() -> None:
    rules = ROLES["midwatch-read"] + ROLES["midwatch-read-secrets"]
    assert {verb for rule in rules for verb in rule["verbs"]} & MUTATING == set()


def test_secrets_are_in_one_optional_role_only() -> None:
    holders = {name for name, rules in ROLES.items() for rule in rules if "secrets" in rule["resources"]}
    assert holders == {"midwatch-read-secrets"}
    bound = {document["roleRef"]["name"] for document in RBAC if document["kind"].endswith("Binding")}
    assert "midwatch-read-secrets" not in bound


def test_acting_is_granted_namespace_by_namespace() -> None:
    everywhere = {document["roleRef"]["name"] for document in RBAC if document["kind"] == "ClusterRoleBinding"}
    assert everywhere == {"midwatch-read"}


def test_bindings_join_roles_and_accounts_that_exist() -> None:
    accounts = {document["metadata"]["name"] for document in RBAC if document["kind"] == "ServiceAccount"}
    for document in RBAC:
        if document["kind"].endswith("Binding"):
            assert document["roleRef"]["name"] in ROLES
            assert {subject["name"] for subject in document["subjects"]} <= accounts


def test_the_pods_run_under_the_reading_account() -> None:
    assert {group["template"]["spec"]["serviceAccountName"] for group in ray_groups()} == {"midwatch-read"}
