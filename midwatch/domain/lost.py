"""Lost resolves: a sender that fell silent about an alert, and what the live object says of it instead. Pure.

Silence alone ends nothing. An alert ends without its resolve only when its object is seen to be well, in a way that
shows in the object itself, or is seen to be gone; whatever cannot be seen stays.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from midwatch.domain.incidents import Member
from midwatch.domain.reasons import Reason

OWN_SOURCES = frozenset({"watch", "midwatch"})
"""They look for themselves whether a trouble is over."""

SHOWN_BY_OBJECTS = frozenset(
    {
        *("CrashLoopBackOff", "PodNotReady", "PodPending", "ImagePullBackOff", "OOMKilled"),
        *("GenerationNotObserved", "DeploymentReplicasShort", "ProgressDeadlineExceeded"),
        *("StatefulSetReplicasShort", "StatefulSetRolloutStuck", "DaemonSetNotReady", "DaemonSetMisscheduled"),
        *("JobFailed", "JobRunningLong", "HPAAtMaximum", "HPAUnableToScale", "PDBBlocksDisruption", "PVFailed"),
        *("NodeNotReady", "NodeUnreachable", "NodeMemoryPressure", "NodeDiskPressure", "NodePIDPressure"),
    }
)
"""Conditions of alerts that an object's own status shows. A well object says nothing of latency or of a full disk."""


class Standing(StrEnum):
    """How an object stands, as far as it can be seen."""

    WELL = "well"
    TROUBLED = "troubled"
    GONE = "gone"
    UNSEEN = "unseen"


class Silence(msgspec.Struct, frozen=True):
    """How often a signal was repeated when it was last looked at, and since when that has not changed."""

    repeats: int
    since: datetime


class Lost(msgspec.Struct, frozen=True):
    """Whether a member's resolve counts as lost, why, and a sentence for people."""

    over: bool
    reason: Reason
    sentence: str = ""


def silent_since(known: Silence | None, repeats: int, now: datetime) -> Silence:
    """What is known of a signal's silence after one more look."""
    return known if known is not None and known.repeats == repeats else Silence(repeats, now)


def judge(member: Member, silence: Silence, standing: Standing, *, after: timedelta, now: datetime) -> Lost:
    """Whether a member of an incident is over although nobody said so."""
    quiet = now - silence.since
    if member.source in OWN_SOURCES or quiet < after:
        return Lost(False, Reason.STILL_TOLD)
    hours = f"{quiet.total_seconds() / 3600:.0f} h"
    if standing is Standing.GONE:
        return Lost(True, Reason.OBJECT_GONE, f"No word for {hours}, and {member.subject} is gone.")
    if standing is Standing.WELL and member.condition.split("/", maxsplit=1)[0] in SHOWN_BY_OBJECTS:
        return Lost(True, Reason.RESOLVE_LOST, f"No word for {hours}, and {member.subject} is well.")
    reason = Reason.STILL_TROUBLED if standing is Standing.TROUBLED else Reason.CANNOT_BE_SEEN
    return Lost(False, reason)
