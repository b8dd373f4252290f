"""Secrets are blanked before anything observed reaches a log, the journal, a model or a card."""

import re

_NAMES = r"(?:[\w.-]*(?:password|passwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential)[\w.-]*)"
_PATTERNS = (
    # a container's environment as JSON: {"name": "DB_PASSWORD", "value": "…"}
    re.compile(rf'(?i)("name"\s*:\s*"{_NAMES}"\s*,\s*"value"\s*:\s*")((?:[^"\\]|\\.)+)'),
    re.compile(r"(?is)(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.+?)(?=-----END|\Z)"),
    re.compile(rf"(?i)((?:{_NAMES}|authorization)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)([^\s\"',;&]{{4,}})"),
    re.compile(r"(?i)(\bbearer\s+)([\w.~+/=-]{8,})"),
    re.compile(r"(://[^/\s:@]+:)([^@\s/]+)(?=@)"),
    re.compile(r"(\beyJ)([\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"),
    re.compile(r"(\b(?:AKIA|ASIA|ghp_|gho_|glpat-|xox[abpr]-|sk-))([\w-]{10,})"),
)


def mask(text: str) -> str:
    """``text`` with what looks like a secret replaced by ``***``; the name of the secret stays readable."""
    for pattern in _PATTERNS:
        text = pattern.sub(r"\g<1>***", text)
    return text
