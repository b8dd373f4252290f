"""The vocabulary: what can be wanted, how names and places are written, and what is no word at all."""

import re
import unicodedata
from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

LONGEST: Final = 2000
"""Characters of a message that are looked at for commands; longer ones are still answered as chat."""


class Kind(StrEnum):
    """What is wanted."""

    APPROVE = "approve"
    CONFIRM = "confirm"
    REJECT = "reject"
    LINK = "link"
    SCALE = "scale"
    RESTART = "restart"
    LIST = "list"
    LOGS = "logs"
    EVENTS = "events"
    TOP = "top"
    DESCRIBE = "describe"
    SCAN = "scan"
    INCIDENTS = "incidents"
    INCIDENT = "incident"
    APPROVALS = "approvals"
    SILENCE = "silence"
    SILENCES = "silences"
    UNSILENCE = "unsilence"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    ON_CALL = "on-call"
    MODEL = "model"
    CLEAR = "clear"
    WHO_AM_I = "who-am-i"
    HELP = "help"
    CHAT = "chat"


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wish. ``name`` is what it is about (an id, an object, a host), ``object_kind`` a Kubernetes kind, ``word``
    what was chosen among (a filter, a scan, a model), ``rest`` what was added for the record.
    """

    kind: Kind
    name: str = ""
    namespace: str = ""
    object_kind: str = ""
    word: str = ""
    number: int | None = None
    lasts: timedelta | None = None
    previous: bool = False
    rest: str = ""


KINDS: Final = {
    "pod": "Pod",
    "po": "Pod",
    "deployment": "Deployment",
    "deploy": "Deployment",
    "statefulset": "StatefulSet",
    "sts": "StatefulSet",
    "daemonset": "DaemonSet",
    "ds": "DaemonSet",
    "replicaset": "ReplicaSet",
    "job": "Job",
    "cronjob": "CronJob",
    "service": "Service",
    "svc": "Service",
    "ingress": "Ingress",
    "node": "Node",
    "namespace": "Namespace",
    "configmap": "ConfigMap",
    "pvc": "PersistentVolumeClaim",
    "hpa": "HorizontalPodAutoscaler",
}
PLURALS = {"ingresses": "Ingress", **{f"{word}s": kind for word, kind in KINDS.items()}}
KIND = "|".join(sorted((*KINDS, *PLURALS), key=len, reverse=True))
NAME = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
OBJECT = rf"(?:(?P<kind>{KIND})[ /]+)?(?:(?P<ns>{NAME})/)?(?P<name>{NAME})"
ID = r"(?P<id>[0-9a-f][0-9a-f-]{3,40})"
_WORDS_NOT_PLACES = frozenset(
    (
        *("the", "a", "an", "my", "our", "this", "that", "total", "all", "detail", "details", "general", "trouble"),
        *("progress", "last", "past", "cluster", "it", "them", "me", "use", "which"),
    )
)
IN = re.compile(
    rf"(?:\b(?:in|from|ns|namespace)\s+(?:the\s+)?(?:(?:namespace|ns)\s+)?|\s-n\s*|--namespace[= ])(?P<ns>{NAME})\b"
)
_MENTION = re.compile(r"<[@!#][^<>\s]{0,80}>|(?:^|(?<=\s))@[\w.-]{1,64}|(?:^|(?<=\s)):[a-z0-9_+-]{1,40}:(?=\s|$)")
_SPACES = re.compile(r"\s+")
LASTS = re.compile(
    r"\bfor\s+(?P<lasts>(?:\d{1,4}\s*(?:minutes?|mins?|hours?|hrs?|days?|weeks?|[mhdw])\s*(?:and\s+)?){1,4})"
    r"(?=\s|$|[,.:;!])"
)
_PIECE = re.compile(r"(\d{1,4})\s*([mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LEFT_OUT = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk"))


def clean(text: str) -> str:
    """One line without mentions, emoji, backticks, control and direction marks; case is kept."""
    kept = "".join(
        " " if character.isspace() else character
        for character in text[: 2 * LONGEST]
        if character.isspace() or (character not in "`*\ufe0f" and unicodedata.category(character) not in _LEFT_OUT)
    )
    return _SPACES.sub(" ", _MENTION.sub(" ", kept)).strip()


def lasts_of(words: str) -> timedelta | None:
    """``for 2h``, ``for 1 day and 12 hours``; ``None`` when none is named."""
    found = LASTS.search(words)
    if found is None:
        return None
    return sum((int(number) * _UNITS[unit] for number, unit in _PIECE.findall(found["lasts"])), timedelta())


def because(said: str) -> str:
    """What stands after "because", or after a colon or dash, for the record."""
    found = re.search(r"\b(?:because|reason:?|comment:?)\s+(.{1,400})$|\s[-–:]\s+(.{1,400})$", said, re.IGNORECASE)
    return (found[1] or found[2]).strip() if found else ""


def namespace_of(words: str) -> str:
    """The namespace that is spoken of, empty when none is."""
    for found in IN.finditer(f" {words}"):
        if found["ns"] not in _WORDS_NOT_PLACES and found["ns"] not in KINDS and found["ns"] not in PLURALS:
            return found["ns"]
    return ""


def kind_of(word: str | None) -> str:
    """The Kubernetes kind that a word stands for, empty when it is none."""
    return KINDS.get(word or "", PLURALS.get(word or "", ""))
