"""The catalogue is one vocabulary: complete, consistent, and the same everywhere."""

import re
from pathlib import Path

from midwatch.domain.conditions import CATALOGUE, catalogue, condition
from midwatch.domain.conditions.alerts import ALERTS, read_alert
from midwatch.domain.conditions.catalogue import ALL
from midwatch.domain.conditions.page import render
from midwatch.domain.refs import ObjectRef, Severity

ROOT = Path(__file__).parents[3]


def test_ids_are_unique_and_entries_complete() -> None:
    assert len(CATALOGUE) == len(ALL)
    for entry in ALL:
        assert re.fullmatch(r"[A-Z][A-Za-z]+(/[A-Z][A-Za-z]+)?", entry.id)
        assert entry.family
        assert entry.failure_class
        assert not entry.title.endswith(".")
        assert entry.explanation.endswith(".")
        assert entry.remediation


def test_every_condition_that_is_reported_is_in_the_catalogue() -> None:
    folder = Path(catalogue.__file__).parent
    named = {
        id_ for file in folder.glob("*.py") for id_ in re.findall(r'report\(\s*"([A-Za-z/]+)"', file.read_text("utf-8"))
    }
    assert len(named) > 40
    assert named <= CATALOGUE.keys()


def test_playbooks_named_exist_or_are_planned_for() -> None:
    shipped = {file.stem for file in (ROOT / "playbooks").glob("*.yaml")}
    named = {entry.playbook for entry in ALL if entry.playbook}
    assert {"restart-workload", "rollback-deployment", "raise-memory-limit"} <= named
    assert named <= shipped


def test_the_page_is_the_catalogue() -> None:
    page = (ROOT / "docs" / "conditions.md").read_text("utf-8")
    assert page == render(), "run: python -m midwatch.domain.conditions.page > docs/conditions.md"


def test_a_condition_falls_back_to_the_part_before_its_slash() -> None:
    found = condition("ImagePullBackOff/SomethingNew")
    assert found is not None
    assert found.id == "ImagePullBackOff"
    assert condition("HighLatency") is None


def test_alerts_are_read_in_our_words() -> None:
    reading = read_alert("KubePodCrashLooping", {"namespace": "shop", "pod": "web-1", "container": "app"})
    assert reading.condition == "CrashLoopBackOff"
    assert reading.subject == ObjectRef("Pod", "web-1", "shop")
    assert reading.failure_class == "workload"
    node = read_alert("NodeFilesystemAlmostOutOfSpace", {"instance": "10.0.0.7:9100", "namespace": "monitoring"})
    assert node.subject == ObjectRef("Node", "10.0.0.7")
    pressure = read_alert("KubeNodePressure", {"node": "n1", "condition": "DiskPressure"})
    assert pressure.condition == "NodeDiskPressure"


def test_labels_moved_by_the_scrape_win() -> None:
    reading = read_alert("KubePodNotReady", {"pod": "exporter", "exported_pod": "web-1", "exported_namespace": "shop"})
    assert reading.subject == ObjectRef("Pod", "web-1", "shop")


def test_an_unknown_alert_has_a_sensible_reading() -> None:
    reading = read_alert("OrdersTooSlow", {"deployment": "orders", "namespace": "shop"})
    assert not reading.known
    assert reading.condition == "UnknownAlert"
    assert reading.subject == ObjectRef("Deployment", "orders", "shop")
    assert read_alert("OrdersTooSlow", {}).subject is None


def test_heartbeats_are_no_trouble() -> None:
    assert CATALOGUE[ALERTS["Watchdog"].condition].severity is Severity.INFO
