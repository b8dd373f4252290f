"""Secrets are masked by where they stand, before any text leaves this package."""

import re
from typing import Any, Final

from midwatch.adapters.mcp.kubernetes.api import Json

MASK: Final = "***"
_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)?|secret|token|api_?key|private_?key|credential|_key$|^key$|auth|dsn"
)
_IN_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@", re.IGNORECASE)
_IN_TEXT = re.compile(
    r"(?i)(?P<name>(?:pass(?:word|wd)?|secret|token|api[_-]?key|authorization)[\"']?\s*[:=]\s*[\"']?)(?:bearer\s+)?"
    r"(?P<value>[^\s\"',;]{4,})"
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def masked(document: Json) -> Json:
    """A copy without secrets and without what only fills the page (managedFields, the last applied configuration)."""
    copy: Json = _walk(document)
    meta = copy.get("metadata")
    if isinstance(meta, dict):
        meta.pop("managedFields", None)
        annotations = meta.get("annotations")
        if isinstance(annotations, dict):
            annotations.pop(_LAST_APPLIED, None)
    if copy.get("kind") == "Secret":
        for part in ("data", "stringData"):
            if isinstance(copy.get(part), dict):
                copy[part] = dict.fromkeys(copy[part], MASK)
    return copy


def masked_text(text: str) -> str:
    """Log lines and messages: passwords in URLs and after the usual names."""
    return _IN_TEXT.sub(rf"\g<name>{MASK}", _IN_URL.sub(rf"\g<scheme>{MASK}@", text))


def _walk(value: Any) -> Any:
    if isinstance(value, dict):
        name = value.get("name")
        if isinstance(name, str) and isinstance(value.get("value"), str) and _SECRET_NAME.search(name):
            return {**{key: _walk(item) for key, item in value.items()}, "value": MASK}
        return {key: _walk(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item) for item in value]
    return masked_text(value) if isinstance(value, str) else value
