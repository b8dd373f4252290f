"""The catalogue as a page for people: ``docs/conditions.md`` is this text, and a test keeps it so."""

import sys
from collections.abc import Iterable

from midwatch.domain.conditions.alerts import ALERTS
from midwatch.domain.conditions.catalogue import ALL
from midwatch.domain.conditions.detect import DETECTORS
from midwatch.domain.conditions.entry import Condition

_HEAD = """# Conditions

A condition is a failure state with a name. Watch, rules, diagnosis, playbooks and this page use the same ids. A rule
matches one by its id, or a group of them by the beginning of it (`ImagePullBackOff*`).

*Severity* is the default; a rule may set another. *After* is how long the state must last before it counts. What is
only reported when a snapshot is diagnosed, never by the watch, has severity info.

This page is generated from the catalogue; change it there.
"""
_CLASSES = {
    "workload": "Pods and workloads",
    "network": "Network",
    "volume": "Storage",
    "node": "Nodes",
    "namespace": "Shared configuration",
    "monitoring": "The watchers themselves",
    "control-plane": "Control plane",
}


def render() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    for class_, title in _CLASSES.items():
        parts.append(_table(title, [entry for entry in ALL if entry.failure_class == class_]))
    parts.append(_quiet())
    parts.append(_alerts())
    return "\n".join(parts)


def _table(title: str, entries: Iterable[Condition]) -> str:
    lines = [f"## {title}\n", "| Condition | Severity | After | What it means | First remediation | Playbook |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for entry in entries:
        after = f"{entry.hold_s} s" if entry.hold_s else ""
        means = f"{entry.title[:1].upper()}{entry.title[1:]}. {entry.explanation}"
        playbook = f"`{entry.playbook}`" if entry.playbook else ""
        lines.append(f"| `{entry.id}` | {entry.severity} | {after} | {means} | {entry.remediation} | {playbook} |")
    return "\n".join(lines) + "\n"


def _quiet() -> str:
    kinds = ", ".join(sorted(DETECTORS))
    return (
        "## What stays quiet\n\n"
        "A rollout that makes progress, a Job that finished (also after retries), an autoscaler at its minimum, a\n"
        "container that restarted once and runs, a claim that waits for its first consumer, pods of an older revision\n"
        "that go away.\n\n"
        f"Kinds that are looked at: {kinds}.\n"
    )


def _alerts() -> str:
    lines = ["## Alerts\n", "What alerts of the usual Prometheus rule sets mean. Others keep their own name.\n",
             "| Alert | Condition | First remediation |", "|---|---|---|"]  # fmt: skip
    for name, mapping in sorted(ALERTS.items(), key=lambda pair: pair[0].lower()):
        lines.append(f"| {name} | `{mapping.condition}` | {mapping.remediation} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
