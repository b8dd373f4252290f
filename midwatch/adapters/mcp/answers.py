"""What a tool said, made fit to be read: secrets masked by where they stand and by what they look like, size capped."""

import json
import re
from typing import Any

from midwatch.adapters.mcp.kubernetes.masking import MASK, masked_text
from midwatch.domain.masking import mask

MAX_ANSWER = 1_000_000
"""Characters of one answer; what is beyond is not kept."""

_DATA = re.compile(r"(?P<indent>[ \t]*(?:- )?)(?:data|stringData)[\"']?:\s*(?P<rest>.*)\Z")
_ENTRY = re.compile(r"(?P<head>[ \t]*[\"']?[\w.-]+[\"']?:)[ \t]*\S.*\Z")
_SECRET = re.compile(r"kind\\*[\"']?\s*:\s*\\*[\"']?Secret(?:List)?\b")
_INLINE = re.compile(r"(?P<head>(?:data|stringData)\\*[\"']?\s*:\s*)\{[^{}]*\}")
_RUN = re.compile(r"[\w.+/=-]{400,}")
"""A word of that length tells nobody anything, and costs every pattern the square of its length."""


def fit(text: str) -> str:
    """``text`` masked and capped. Contents of Secret objects go, in JSON and in YAML, whatever server sent them."""
    # What is cut off is not masked: a large answer must not cost seconds.
    cut, text = len(text) - MAX_ANSWER, text[:MAX_ANSWER]
    text = _RUN.sub(_shortened, text)
    if _SECRET.search(text):
        text = _without_contents(text)
    text = mask(masked_text(text))
    return f"{text}\n[cut here: {cut} more characters]" if cut > 0 else text


def _shortened(run: re.Match[str]) -> str:
    return f"{run[0][:80]} [{len(run[0]) - 80} characters without a break]"


def _without_contents(text: str) -> str:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return _lines_without_contents(_INLINE.sub(rf"\g<head>{{{MASK}}}", text))
    try:
        return json.dumps(_walk(document, listed=False), ensure_ascii=False)
    except RecursionError:
        return MASK


def _walk(value: Any, *, listed: bool) -> Any:
    if isinstance(value, list):
        return [_walk(item, listed=listed) for item in value]
    if not isinstance(value, dict):
        # a tool may put an object's text into a string of its own
        return _without_contents(value) if isinstance(value, str) and _SECRET.search(value) else value
    kind = value.get("kind")
    secret = kind == "Secret" or (listed and kind is None)
    copy = {key: _walk(item, listed=kind == "SecretList") for key, item in value.items()}
    for part in ("data", "stringData"):
        if secret and part in copy:
            copy[part] = dict.fromkeys(copy[part], MASK) if isinstance(copy[part], dict) else MASK
    return copy


def _lines_without_contents(text: str) -> str:
    """YAML, whole or in pieces: beside a Secret every ``data`` block loses its values, also those of other objects."""
    lines: list[str] = []
    depth: int | None = None
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" \t"))
        if depth is not None and line.strip():
            if indent > depth:
                entry = _ENTRY.match(line)
                lines.append(f"{entry['head']} '{MASK}'" if entry else _blank(line))
                continue
            depth = None
        if opened := _DATA.match(line):
            depth = len(opened["indent"])
        lines.append(line)
    return "\n".join(lines)


def _blank(line: str) -> str:
    """A line of a block: a key alone stays, the lines of a multi-line value go."""
    return line if re.fullmatch(r"\s*[\"']?[\w.-]+[\"']?:\s*", line) else re.sub(r"\S.*", MASK, line)
