"""Words that ask to look: at the cluster, at a host, at what Midwatch knows."""

import re

from midwatch.domain.intents.words import ID, IN, KIND, NAME, OBJECT, Intent, Kind, kind_of, namespace_of

_BAD = re.compile(
    r"\b(?:error|errors|erroring|failing|failed|broken|crash\w*|unhealthy|bad|not[ -]ready|unready|troubled|problem\w*|"
    r"oom\w*|restarting|pending|stuck)\b"
)
_ASKS = r"^(?:show|list|get|display|give|see|find|which|what|whats|what's|any|are there|view|print|tell|see|check)\b"


_LOGS = re.compile(r"\blogs?\b")
_OF = re.compile(rf"\b(?:of|for|from)\s+(?:the\s+)?(?:(?P<kind>{KIND})[ /]+)?(?:(?P<ns>{NAME})/)?(?P<name>{NAME})\b")
_AFTER_LOGS = re.compile(rf"\blogs?\s+(?:-f\s+)?(?:(?P<kind>{KIND})[ /]+)?(?:(?P<ns>{NAME})/)?(?P<name>{NAME})\b")
_LINES = re.compile(r"\b(?:last|tail|--tail)[= ]\s*(\d{1,4})\b|\b(\d{1,4})\s+lines\b")
_NOT_NAMES = frozenset(
    (
        *("of", "for", "from", "in", "the", "last", "previous", "lines", "line", "log", "logs", "tail"),
        *("a", "an", "all", "me", "and", "pod", "please"),
    )
)
_TOP = re.compile(
    r"^(?:top|(?:show|get|what is|what's)\s+(?:me\s+)?(?:the\s+)?(?:cpu|memory|resource)s?\b)"
    r"|\b(?:cpu|memory|resource)\s+(?:usage|use|consumption)\b"
)
_DESCRIBE = re.compile(rf"^(?:describe|inspect)\s+(?:the\s+)?{OBJECT}")
_LIST = re.compile(rf"\b(?P<kind>{KIND})\b")
_QUESTION = re.compile(
    r"^(?:why|how|when|should|who|explain|is|does|do|did|was|will|since|"
    r"what (?:do|does|did|should|can|could|would|happened|caused?|causes))\b"
)


def kubernetes(words: str, _: str) -> Intent | None:
    """Looking at the cluster."""
    if _QUESTION.match(words):
        return None
    if found := _DESCRIBE.match(words):
        namespace = found["ns"] or namespace_of(words)
        return Intent(kind=Kind.DESCRIBE, name=found["name"], namespace=namespace, object_kind=kind_of(found["kind"]))
    asks = re.match(_ASKS, words) is not None
    if _LOGS.search(words) and (
        asks or re.match(r"^(?:previous\s+|last\s+\S+\s+(?:lines\s+)?(?:of\s+)?)?(?:logs?|tail)\b", words)
    ):
        return _logs(words)
    if re.search(r"\bevents?\b", words) and (asks or words.startswith("event")):
        about = _OF.search(words)
        name = about["name"] if about and about["name"] != namespace_of(words) else ""
        return Intent(
            kind=Kind.EVENTS, name=name, namespace=(about["ns"] if about and about["ns"] else namespace_of(words))
        )
    if _TOP.search(words):
        return Intent(
            kind=Kind.TOP, word="nodes" if re.search(r"\bnodes?\b", words) else "pods", namespace=namespace_of(words)
        )
    listed = _LIST.search(IN.sub(" ", f" {words}"))
    if listed and (asks or listed.start("kind") <= 1 or _BAD.match(words)):
        return Intent(
            kind=Kind.LIST,
            object_kind=kind_of(listed["kind"]),
            namespace=namespace_of(words),
            word="bad" if _BAD.search(words) else "",
        )
    return None


def _logs(words: str) -> Intent:
    lines = _LINES.search(words)
    number = int(next(filter(None, lines.groups()))) if lines else None
    rest = _LINES.sub(" ", words)
    namespace = namespace_of(rest)
    name, inside, kind = "", "", ""
    for pattern in (_OF, _AFTER_LOGS):
        for found in pattern.finditer(rest):
            if found["name"] not in _NOT_NAMES and not (found["name"] == namespace and not found["ns"]):
                name, inside, kind = found["name"], found["ns"] or "", kind_of(found["kind"])
                break
        if name:
            break
    return Intent(
        kind=Kind.LOGS,
        name=name,
        namespace=inside or namespace,
        object_kind=kind,
        number=number,
        previous=re.search(r"\bprevious\b|\bbefore\b|--previous|\s-p\b", words) is not None,
    )


_SCAN = re.compile(
    r"^(?:(?:run|do|start)\s+(?:a\s+)?)?(?:security\s+)?(?:scan|check|audit|inspect|test)\s+(?:the\s+|of\s+|for\s+)*"
    r"(?:(?P<what>ports?|certificate|cert|certs|tls|ssl|headers?|security headers?)\s+(?:of|for|on|at)?\s*)"
    r"(?P<host>[a-z0-9][a-z0-9.:/_-]{0,253})$"
)
_PLAIN_SCAN = re.compile(r"^(?:security\s+)?scan\s+(?P<host>[a-z0-9][a-z0-9.:/_-]{0,253})$")


def scan(words: str, _: str) -> Intent | None:
    """Security scans of a host."""
    found = _SCAN.match(words)
    if found:
        what = found["what"]
        word = "ports" if what.startswith("port") else "headers" if "header" in what else "certificate"
        return Intent(kind=Kind.SCAN, name=found["host"], word=word)
    plain = _PLAIN_SCAN.match(words)
    return Intent(kind=Kind.SCAN, name=plain["host"], word="ports") if plain else None


_INCIDENT = re.compile(
    rf"^(?:(?:show|get|what about)\s+)?(?:me\s+)?(?:the\s+)?(?:incident|status(?:\s+of)?(?:\s+incident)?)\s+#?{ID}$"
)
_INCIDENTS = re.compile(
    r"^(?:(?:show|list|get|give)\s+(?:me\s+)?)?(?:the\s+|all\s+|open\s+|current\s+|any\s+)*"
    r"(?:incidents?|status|problems?|outages?|alerts?|"
    r"what(?:'s|s| is)\s+(?:broken|going on|happening|wrong|up|firing|the status))$"
)
_APPROVALS = re.compile(
    r"^(?:(?:show|list|get|any|what)\s+)*(?:me\s+)?(?:the\s+|all\s+|open\s+|pending\s+)*approvals?(?:\s+(?:are\s+)?(?:open|pending|waiting))?$"
)


def incidents(words: str, _: str) -> Intent | None:
    """What is open, one incident, what waits for approval."""
    if found := _INCIDENT.match(words):
        return Intent(kind=Kind.INCIDENT, name=found["id"])
    if _APPROVALS.match(words):
        return Intent(kind=Kind.APPROVALS)
    return Intent(kind=Kind.INCIDENTS) if _INCIDENTS.match(words) else None
