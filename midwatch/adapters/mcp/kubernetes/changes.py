"""Which fields each action changes, and to what: pure, from the live document."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from midwatch.adapters.mcp.kubernetes.api import Json
from midwatch.adapters.mcp.kubernetes.pointers import KEY, Fields, escape, read
from midwatch.domain.errors import Conflict, Invalid, NotFound
from midwatch.domain.objects.quantities import quantity

RESTORABLE = ("/spec/template", "/spec/replicas", "/spec/unschedulable", "/spec/suspend")
RESTARTED = f"/spec/template/metadata/annotations/{escape('kubectl.kubernetes.io/restartedAt')}"
REVISION = f"/metadata/annotations/{escape('deployment.kubernetes.io/revision')}"
_HASH = "pod-template-hash"
_OF_JOB = ("controller-uid", "job-name")
RERUN_OF = "midwatch.dev/rerun-of"
"""Label of a Job that was made of another: the uid of that one."""

Params = dict[str, str | int | bool]


class Facts(msgspec.Struct, frozen=True):
    """What an action may need: the live object, parameters, the time, ReplicaSets, the state to restore."""

    live: Json
    params: Params
    now: datetime
    replica_sets: Sequence[Json] = ()
    before: str = ""


def restart(facts: Facts) -> Fields:
    """A new mark on the template, as ``kubectl rollout restart`` makes it."""
    if read(facts.live, "/spec/paused"):
        raise Conflict("its rollout is paused: a restart would not happen")
    return {RESTARTED: facts.now.strftime("%Y-%m-%dT%H:%M:%SZ")}


def undo(facts: Facts) -> Fields:
    """The template of an earlier ReplicaSet takes the place of the present one."""
    wanted = str(facts.params["revision"])
    found = next((item for item in facts.replica_sets if read(item, REVISION) == wanted), None)
    if found is None:
        known = ", ".join(sorted(str(read(item, REVISION)) for item in facts.replica_sets))
        raise NotFound(f"revision {wanted} is not in the history (there are {known or 'none'})")
    template: Json = msgspec.json.decode(msgspec.json.encode(found["spec"]["template"]))
    template.get("metadata", {}).get("labels", {}).pop(_HASH, None)
    return {"/spec/template": template}


def resources(facts: Facts) -> Fields:
    """Limits and requests of one container; those not named stay."""
    containers = read(facts.live, "/spec/template/spec/containers") or []
    names = [item.get("name") for item in containers]
    if facts.params["container"] not in names:
        raise NotFound(f"it has no container {facts.params['container']!r} (it has {', '.join(map(str, names))})")
    index = names.index(facts.params["container"])
    changed: Json = msgspec.json.decode(msgspec.json.encode(containers[index].get("resources") or {}))
    for name in ("memory_limit", "memory_request", "cpu_limit", "cpu_request"):
        if value := facts.params.get(name):
            what, kind = name.split("_")
            changed.setdefault(f"{kind}s", {})[what] = str(value)
    return {f"/spec/template/spec/containers/{index}/resources": changed}


def scale(facts: Facts) -> Fields:
    """The number of replicas."""
    replicas = facts.params["replicas"]
    if not isinstance(replicas, int) or not 0 <= replicas <= 10_000:
        raise Invalid(f"replicas is {replicas!r}: a number from 0 to 10000")
    return {"/spec/replicas": replicas}


def expand(facts: Facts) -> Fields:
    """The size a claim asks for; never less than now."""
    now, wanted = read(facts.live, "/spec/resources/requests/storage"), str(facts.params["storage"])
    has, asked = quantity(str(now or "")), quantity(wanted)
    if asked is None:
        raise Invalid(f"storage is {wanted!r}: a quantity such as 20Gi")
    if has is not None and asked <= has:
        raise Conflict(f"it asks for {now} already")
    return {"/spec/resources/requests/storage": wanted}


def rerun(facts: Facts, key: str) -> Json:
    """A new Job that does what the live one did. Its name follows from the key: a second try finds the first.

    It stays until somebody looks: a Job that is collected when it ends could not be told from one that was never made.
    """
    live = facts.live
    meta = live["metadata"]
    spec: Json = msgspec.json.decode(msgspec.json.encode(live["spec"]))
    for name in ("selector", "manualSelector", "suspend", "ttlSecondsAfterFinished"):
        spec.pop(name, None)
    labels = spec["template"].get("metadata", {}).get("labels", {})
    for name in [name for name in labels if name in _OF_JOB or name.startswith("batch.kubernetes.io/")]:
        del labels[name]
    tag = hashlib.sha256(key.encode()).hexdigest()[:8]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{meta['name'][:40].rstrip('-.')}-again-{tag}",
            "namespace": meta["namespace"],
            "labels": {RERUN_OF: meta["uid"]},
            "annotations": {KEY: key},
            **({"ownerReferences": meta["ownerReferences"]} if meta.get("ownerReferences") else {}),
        },
        "spec": spec,
    }


def restore(facts: Facts) -> Fields:
    """Put captured fields back, and only such fields as an action of ours could have touched."""
    try:
        fields = msgspec.json.decode(facts.before or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Invalid("the captured state is not a JSON object") from error
    if not fields:
        raise Invalid("there is no captured state to put back")
    for pointer in fields:
        if not any(pointer == allowed or pointer.startswith(f"{allowed}/") for allowed in RESTORABLE):
            raise Invalid(f"{pointer} is not a field that is put back")
    return fields


def _fixed(pointer: str, value: object) -> Callable[[Facts], Fields]:
    return lambda _: {pointer: value}


CHANGES: dict[str, Callable[[Facts], Fields]] = {
    "rollout_restart": restart,
    "rollout_undo": undo,
    "patch_resources": resources,
    "scale": scale,
    "expand_claim": expand,
    "suspend": _fixed("/spec/suspend", True),
    "resume": _fixed("/spec/suspend", False),
    "cordon": _fixed("/spec/unschedulable", True),
    "drain": _fixed("/spec/unschedulable", True),
    "uncordon": _fixed("/spec/unschedulable", None),
    "restore": restore,
}
