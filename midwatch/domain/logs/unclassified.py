"""Severe lines that no pattern knows: counted by template, so that the rare one stands out from the loud one."""

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from midwatch.domain.logs.levels import ERROR, FATAL, INFO, level_of
from midwatch.domain.logs.lines import Lines
from midwatch.domain.logs.stacks import exception_name

_SEVERE = (b"err", b"fatal", b"exception", b"panic", b"crit", b"severe", b"emerg", b"fail", b"alert")
TRIED = 1_000
"""Lines looked at for one such text."""
_COMPLAINT = re.compile(
    r"(?i)(?:^|[\s:])(?:(?:failed|unable) to|could not|cannot|there was a problem"
    r"|error:|error (?:while|in|on|from|during)|failed:|fatal:)\s"
    r"|\bfailed[.!]?$"
)
_VARIABLE = re.compile(r"\"[^\"]*\"|'[^']*'|\b[\w.-]*\d[\w.:-]*\b|[/\\][\w./\\-]+")
_WORD = re.compile(r"\b[A-Za-z][A-Za-z_]{3,30}\b")
_MESSAGE = re.compile(r"(?:\"(?:msg|message|error|err|exception|event)\"\s*:\s*\"|\b(?:msg|err|error)=\"?)([^\"]{8,})")
_PREFIX = re.compile(r"^[\W\d]*(?:[\dTZ:.,+/ -]+)?[^A-Za-z]*")
_COMMON_WORDS = (
    "this that with from have been were will when then than into your their there which while where what could would "
    "should about after before error errors warning critical fatal failed failure info debug trace exception true "
    "false none null line file code name time level message status request response return value type call caused "
    "because main thread java python module lang http https www default unable cannot does must more most some such "
    "using used make made trying tried again during cause logger caller source stack site packages"
)
_COMMON = frozenset(_COMMON_WORDS.split())


class Template(msgspec.Struct, frozen=True):
    """Severe lines of one shape: the first of them, how many, and the highest level they claim."""

    line: int
    count: int
    level: int


def severe_templates(lines: Lines) -> tuple[Template, ...]:
    """Group the lines that claim level error or above, or that name an exception, in order of appearance."""
    rows = sorted({row for text in _SEVERE for row in lines.kinds.rows(text, TRIED)})
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    levels: dict[str, int] = {}
    for number in (lines.shown[row] for row in rows):
        text = lines.text(number)
        level = level_of(text)
        if level is None and not text[:1].isspace() and (exception_name(text) or _COMPLAINT.search(text)):
            level = ERROR
        if level is None or level < ERROR:
            continue
        key = _VARIABLE.sub("#", text[:500])
        first.setdefault(key, number)
        counts[key] += lines.repeats(number)
        levels[key] = max(level, levels.get(key, INFO))
    return tuple(Template(number, counts[key], levels[key]) for key, number in first.items())


def rare_lines(templates: Sequence[Template], limit: int = 5) -> tuple[int, ...]:
    """Lines whose template is seen at most twice in a log where severe lines repeat."""
    if sum(template.count for template in templates) < 20:
        return ()
    return tuple(template.line for template in templates if template.count <= 2)[:limit]


def telling(templates: Sequence[Template]) -> tuple[Template, ...]:
    """The templates in the order in which a person should read them: fatal ones, then the earliest."""
    return tuple(sorted(templates, key=lambda template: (template.level < FATAL, template.line)))


def recurring_words(texts: Sequence[str], known: str = "", limit: int = 10) -> tuple[str, ...]:
    """The words that say what these lines are about: those in most of them, but common ones and those in ``known``."""
    left_out = _COMMON | {word.lower() for word in _WORD.findall(known)}
    seen: Counter[str] = Counter()
    for text in texts:
        told = " ".join(_MESSAGE.findall(text[:2_000]))
        words = _WORD.findall((told or _PREFIX.sub("", text))[:400])
        seen.update(list(dict.fromkeys(word.lower() for word in words)))
    kept = [(word, count) for word, count in seen.items() if word not in left_out]
    return tuple(word for word, _ in sorted(kept, key=lambda item: -item[1])[:limit])
