"""A diagnosis as Markdown: for tickets, chats and whoever wants to keep it."""

import re

from midwatch.domain.diagnosis import Diagnosis, Evidence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_LONGEST_QUOTE = 300


def report(diagnosis: Diagnosis) -> str:
    """The whole report. What was observed stands in code spans, so that no log line can format or link anything."""
    parts = [f"## {plain(diagnosis.title or diagnosis.root_cause)}"]
    sure = f"{diagnosis.confidence:.0%} sure, {diagnosis.author}"
    parts.append(f"**Cause:** {plain(diagnosis.root_cause)} ({plain(sure)})")
    if diagnosis.summary and diagnosis.summary != diagnosis.root_cause:
        parts.append(plain(diagnosis.summary))
    parts += _section("Evidence", [_quoted(item) for item in diagnosis.evidence])
    parts += _section("What added to it", [plain(item) for item in diagnosis.factors])
    parts += _section("Ruled out", [plain(item) for item in diagnosis.ruled_out])
    parts += _section("Look at next", [code(item) for item in diagnosis.next_checks])
    parts += [f"**What to do:** {plain(diagnosis.recommended_action)}"] if diagnosis.recommended_action else []
    parts += [f"**So that it does not come back:** {plain(diagnosis.prevention)}"] if diagnosis.prevention else []
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that says what it says and formats nothing, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text in a code span, whatever backticks it has itself."""
    one_line = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", one_line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if one_line.startswith("`") or one_line.endswith("`") else ""
    return f"{fence}{pad}{one_line}{pad}{fence}" if one_line else ""


def _quoted(item: Evidence) -> str:
    where = item.source if item.line is None else f"{item.source} line {item.line}"
    return f"{code(item.text[:_LONGEST_QUOTE])} — {plain(where)}"


def _section(title: str, items: list[str]) -> list[str]:
    return [f"### {title}", "\n".join(f"- {item}" for item in items)] if items else []
