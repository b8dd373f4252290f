"""Secrets are masked by where they stand, before any text leaves this package."""

import re
from typing import Any, Final

from midwatch.adapters.mcp.kubernetes.api import Json
from midwatch.domain.masking import NOT_A_PATH

MASK: Final = "***"
CHANGED: Final = f"{MASK} (changed)"
_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)?|pwd|secret|token|api_?key|private_?key|credential|_key$|^key$|auth|dsn"
)
_PATHS = ("PWD", "OLDPWD")
_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")
_IN_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@", re.IGNORECASE)
_IN_TEXT = re.compile(
    rf"(?i)(?P<name>(?:pass(?:word|wd)?|{NOT_A_PATH}|secret|token|api[_-]?key|authorization)"
    r"[\"']?\s*[:=]\s*[\"']?)(?:bearer\s+)?"
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


def without_values(document: Any, other: Any, *, changed: str = MASK) -> Any:
    """A copy in which no variable of an environment shows its value; ``changed`` stands where ``other`` has another."""
    if isinstance(document, dict):
        others = other if isinstance(other, dict) else {}
        copy = {name: without_values(item, others.get(name), changed=changed) for name, item in document.items()}
        return copy | (
            {"env": _env(document["env"], others.get("env"), changed)} if _is_env(document.get("env")) else {}
        )
    if isinstance(document, list):
        return [
            without_values(item, _counterpart(other, item, at), changed=changed) for at, item in enumerate(document)
        ]
    return document


def _is_env(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value)


def _env(env: list[Json], other: Any, changed: str) -> list[Json]:
    known = {item["name"]: item.get("value") for item in other} if _is_env(other) else {}
    return [
        {**item, "value": MASK if known.get(item["name"], item["value"]) == item["value"] else changed}
        if "value" in item
        else item
        for item in env
    ]


def _counterpart(other: Any, item: Any, at: int) -> Any:
    """The item of another list that has the same name, or without names the same place."""
    if not isinstance(other, list):
        return None
    if isinstance(item, dict) and "name" in item:
        return next((each for each in other if isinstance(each, dict) and each.get("name") == item["name"]), None)
    return other[at] if at < len(other) else None


def _walk(value: Any) -> Any:
    if isinstance(value, dict):
        name, said = value.get("name"), value.get("value")
        if isinstance(name, str) and isinstance(said, str) and said != CHANGED and _is_secret(name):
            return {**{key: _walk(item) for key, item in value.items()}, "value": MASK}
        return {key: _walk(item) for key, item in value.items()}
    if isinstance(value, list):
        told = zip([None, *value[:-1]], value, strict=True) if value else ()
        return [MASK if _is_told(flag, item) else _walk(item) for flag, item in told]
    return masked_text(value) if isinstance(value, str) else value


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and name.upper() not in _PATHS


def _is_told(flag: Any, item: Any) -> bool:
    """Whether an argument is the secret that the flag before it tells of."""
    if not isinstance(item, str) or not isinstance(flag, str) or not _FLAG.fullmatch(flag) or item.startswith("--"):
        return False
    name = flag.lstrip("-").replace("-", "_")
    return _is_secret(name) and not name.lower().endswith(("file", "path", "dir"))
