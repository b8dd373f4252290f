"""Words that decide or change something; taken only from the beginning of a message."""

import re

from midwatch.domain.intents.words import ID, NAME, OBJECT, Intent, Kind, because, kind_of, lasts_of

_DECISION = re.compile(
    rf"^(?P<verb>approve|approved|confirm|confirmed|reject|rejected|deny|decline)\b[: ]*#?(?:{ID}\b)?"
)
_CHOICES = {"a": Kind.APPROVE, "c": Kind.CONFIRM, "r": Kind.REJECT, "d": Kind.REJECT}


def decision(words: str, said: str) -> Intent | None:
    """``approve ID``, ``confirm ID``, ``reject ID reason``. Words of approval without an id ask which one is meant."""
    found = _DECISION.match(words)
    if found is None:
        return None
    rest = said[found.end() :].strip(" :,-")
    return Intent(kind=_CHOICES[found["verb"][0]], name=found["id"] or "", rest=rest[:500])


_LINK = re.compile(r"^link\s+(?P<code>[a-z0-9-]{4,20})$")


def link(words: str, _: str) -> Intent | None:
    """``link CODE``."""
    found = _LINK.match(words)
    return Intent(kind=Kind.LINK, name=found["code"].upper()) if found else None


_SCALE = re.compile(
    rf"^scale\s+(?:up\s+|down\s+|out\s+)?(?:the\s+)?{OBJECT}(?:\s+(?:in|ns|namespace|-n)\s+(?P<in>{NAME}))?\s+"
    rf"(?:to\s+|=\s*|--replicas[= ])?(?P<number>\d{{1,4}})(?:\s+(?:replicas?|pods?))?"
    rf"(?:\s+(?:in|ns|namespace|-n)\s+(?P<after>{NAME}))?$"
)
_RESTART = re.compile(
    rf"^(?:rollout\s+)?(?:restart|bounce)\s+(?:the\s+)?{OBJECT}"
    rf"(?:\s+(?:deployment|statefulset|daemonset|pod|workload|service))?(?:\s+(?:in|ns|namespace|-n)\s+(?P<in>{NAME}))?$"
)


def change(words: str, _: str) -> Intent | None:
    """Orders to change something."""
    if found := _SCALE.match(words):
        namespace = found["ns"] or found["in"] or found["after"] or ""
        return Intent(
            kind=Kind.SCALE,
            name=found["name"],
            namespace=namespace,
            object_kind=kind_of(found["kind"]),
            number=int(found["number"]),
        )
    if found := _RESTART.match(words):
        namespace = found["ns"] or found["in"] or ""
        return Intent(kind=Kind.RESTART, name=found["name"], namespace=namespace, object_kind=kind_of(found["kind"]))
    return None


_SILENCE = re.compile(r"^(?:silence|mute|hush|snooze)\s+(?:add\s+)?(?P<what>.+)$")
_UNSILENCE = re.compile(
    rf"^(?:unsilence|unmute|(?:expire|end|remove|delete)\s+silence|silence\s+(?:expire|end|remove))\s+{ID}$"
)
_SILENCES = re.compile(
    r"^(?:(?:show|list|get|what are the)\s+)?(?:the\s+|all\s+|active\s+)*(?:silences|silence list|mutes)$"
)
_FREEZE = re.compile(
    rf"^freeze(?:\s+(?:changes|actions|everything|all))?(?:\s+(?:in\s+)?(?:namespace\s+)?(?!for\b|because\b)(?P<ns>{NAME}))?\b"
)
_UNFREEZE = re.compile(rf"^(?:unfreeze|thaw|end\s+(?:the\s+)?freeze)(?:\s+(?:in\s+)?(?:namespace\s+)?(?P<ns>{NAME}))?$")


def quiet(words: str, said: str) -> Intent | None:
    """Silences and freezes."""
    if found := _UNSILENCE.match(words):
        return Intent(kind=Kind.UNSILENCE, name=found["id"])
    if _SILENCES.match(words):
        return Intent(kind=Kind.SILENCES)
    if found := _UNFREEZE.match(words):
        return Intent(kind=Kind.UNFREEZE, namespace=found["ns"] or "")
    if found := _FREEZE.match(words):
        return Intent(kind=Kind.FREEZE, namespace=found["ns"] or "", lasts=lasts_of(words), rest=because(said))
    if found := _SILENCE.match(words):
        what = re.split(r"\s+(?:for|because|until)\s", found["what"], maxsplit=1)[0].strip()
        what = re.sub(r"^(?:(?:namespace|ns|alerts?|everything|all|condition)\s+(?:in\s+|from\s+|of\s+)?)+", "", what)
        return Intent(kind=Kind.SILENCE, name=what[:253], lasts=lasts_of(words), rest=because(said))
    return None
