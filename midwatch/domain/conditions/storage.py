"""Conditions of claims, volumes and storage classes."""

import re

from midwatch.domain.conditions.look import Look, shown, told
from midwatch.domain.objects.cluster import PersistentVolume, PersistentVolumeClaim, StorageClass
from midwatch.domain.refs import Severity

_CLASS_GONE = re.compile(r"""(?i)storageclass\S* ['"]?[^'" ]+['"]? not found""")
_WAITING = ("WaitForFirstConsumer", "WaitForPodScheduled")


def claim(look: Look, item: PersistentVolumeClaim) -> None:
    """A claim: lost, or pending although it should not be."""
    phase, name = item.status.phase, item.spec.storage_class_name or ""
    failures = look.warnings(item, "ProvisioningFailed", "FailedBinding", "VolumeMismatch")
    if phase == "Lost":
        look.report("PVCLost", item, "Its volume is gone.", evidence=[shown(item, "status.phase", phase)])
        return
    if phase not in ("Pending", ""):
        return
    seen = [shown(item, "status.phase", phase or "none"), *(told(event) for event in failures[-1:])]
    since = failures[0].began_at if failures else None
    gone = any(_CLASS_GONE.search(event.text) for event in failures)
    known = look.view.sees("StorageClass") and (not look.live or phase == "Pending")
    if name and not gone and known and not item.spec.volume_name:
        gone = look.view.find(StorageClass, "", name) is None
    if gone and not phase:
        look.report(
            "StorageClassMissing", item, f"The PVC asks for storage class {name}, which does not exist.", evidence=seen
        )
        return
    if not phase:
        return
    if gone:
        look.report(
            "PVCPending",
            item,
            f"It stays pending: its storage class {name} does not exist, so nothing is provisioned.",
            since=since,
            evidence=seen,
        )
    elif failures:
        why = (
            "no provisioner made a volume for it"
            if failures[-1].reason == "ProvisioningFailed"
            else "no volume fits it"
        )
        look.report("PVCPending", item, f"It stays pending: {why}.", since=since, evidence=seen)
    elif not look.view.pods_using(item):
        if not look.live:  # binding waits for the first consumer in most clusters, and nobody is hurt meanwhile
            look.report("PVCPending", item, "It is pending and no pod uses it.", evidence=seen, severity=Severity.INFO)
    elif not _awaits_consumer(look, item):
        look.report(
            "PVCPending",
            item,
            "It stays pending; nothing says why.",
            since=item.metadata.creation_timestamp,
            evidence=seen,
        )


def _awaits_consumer(look: Look, item: PersistentVolumeClaim) -> bool:
    """Whether binding waits, on purpose, for a pod that uses the claim."""
    if any(event.reason in _WAITING for event in look.view.events(item)):
        return True
    found = look.view.find(StorageClass, "", item.spec.storage_class_name or "")
    scheduled = any(pod.spec.node_name for pod in look.view.pods_using(item))
    return found is not None and found.volume_binding_mode == "WaitForFirstConsumer" and not scheduled


def volume(look: Look, item: PersistentVolume) -> None:
    """A volume that failed, or is kept with nobody to use it."""
    if item.status.phase == "Failed":
        look.report(
            "PVFailed",
            item,
            "The volume is in phase Failed.",
            evidence=[shown(item, "status.phase", f"Failed {item.status.reason} {item.status.message}".strip())],
        )
    elif item.status.phase == "Released" and not look.live:
        look.report(
            "PVReleased",
            item,
            "Its claim is gone and it is not available to others.",
            evidence=[shown(item, "status.phase", "Released")],
        )


def storage_class(look: Look, item: StorageClass) -> None:
    """In a snapshot: more than one default class."""
    if look.live or item.metadata.annotations.default_class != "true":
        return
    others = [other for other in look.view.each(StorageClass) if other.metadata.annotations.default_class == "true"]
    if len(others) > 1:
        look.report(
            "DefaultStorageClassAmbiguous",
            item,
            f"{len(others)} classes are marked as default.",
            evidence=[shown(item, "metadata.annotations", "is-default-class")],
        )
