"""Secrets are blanked before anything observed reaches a log, the journal, a model or a card."""

import re
from collections.abc import Callable
from typing import TypeAlias

_Blank: TypeAlias = Callable[[re.Match[str]], str]

NOT_A_PATH = r"pwd(?![\"']?\s*[:=]\s*[\"']?[/~])"
"""A shell's PWD and OLDPWD are paths; MYSQL_PWD and the pwd of a connection string are not."""
# the end is bounded: of a long word made of telling names each would be followed to its end
_TELLING = (
    rf"(?:password|passwd|{NOT_A_PATH}|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential)"
    r"[\w.-]{0,200}"
)
_NAMES = rf"(?:(?!(?:old)?pwd[\"'\s])[\w.-]*{_TELLING})"
_WORDS = ("password", "passwd", "pwd", "secret", "token", "key", "credential", "authorization")
_PATTERNS = (
    # a container's environment as JSON: {"name": "DB_PASSWORD", "value": "…"}
    (_WORDS, re.compile(rf'(?i)("name"\s*:\s*"{_NAMES}"\s*,\s*"value"\s*:\s*")((?:[^"\\]|\\.)+)')),
    # and as YAML, on two lines
    (_WORDS, re.compile(rf"(?i)(name:\s*[\"']?{_NAMES}[\"']?\s*\n\s*value:\s*[\"']?)([^\s\"']+)")),
    # arguments written apart, as items of a list in JSON or YAML: "--password", "…"
    (
        _WORDS,
        re.compile(
            rf"(?i)((?<!-)--[\w-]{{0,40}}?{_TELLING}\\?[\"']?\s*(?:,\s*\\?[\"']|\n[ \t]*-[ \t]+[\"']?))"
            r"([^\s\"',/\\-][^\s\"',\\]*)"
        ),
    ),
    (("private key",), re.compile(r"(?is)(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.+?)(?=-----END|\Z)")),
    # what stands before a telling name is not looked at: that would cost the square of a word's length
    (
        _WORDS,
        re.compile(
            rf"(?i)((?:{_TELLING}|authorization)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)([^\s\"',;&]{{4,}})"
        ),
    ),
    (("bearer",), re.compile(r"(?i)(\bbearer\s+)([\w.~+/=-]{8,})")),
    (("://",), re.compile(r"(://[^/\s:@]+:)([^@\s/]+)(?=@)")),
    (("eyj",), re.compile(r"(\beyJ)([\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})")),
    (
        ("akia", "asia", "ghp_", "gho_", "glpat-", "xox", "sk-"),
        re.compile(r"(\b(?:AKIA|ASIA|ghp_|gho_|glpat-|xox[abpr]-|sk-))([\w-]{10,})"),
    ),
)
"""Each with words (in small letters) of which one must stand in the text: finding none costs a hundredth."""
_ANY_WORD = tuple({word: None for words, _ in _PATTERNS for word in words})
_MASKED = re.compile(r"\*\*\*\d*[)\]}.:|\\]*")
_A_SECRET = re.compile(r"(?i)[\"']?\bkind[\"']?\s*:\s*[\"']?Secret\b(?!\w)")
_DATA_JSON = re.compile(r'"(?:data|stringData)"\s*:\s*\{[^{}]*\}')
_VALUE_JSON = re.compile(r'(:\s*")((?:[^"\\]|\\.)+)(?=")')
_DATA_YAML = re.compile(
    r"(?m)^(?P<indent>[ \t]*)(?:data|stringData):[ \t]*\n(?P<body>(?:(?P=indent)[ \t]+.*\n?|[ \t]*\n)+)"
)
_VALUE_YAML = re.compile(r"(?m)(^[ \t]*[\w.-]+:[ \t]*(?!\|)[\"']?|^[ \t]+(?![\w.-]+:))([^\s\"'|>][^\n\"']*)")
_LONG_ENOUGH = 8


def mask(text: str) -> str:
    """``text`` with what looks like a secret replaced by ``***``; the name of the secret stays readable."""
    return _masked(text, lambda match: match[0] if _MASKED.fullmatch(match[2]) else f"{match[1]}***")


class Masker:
    """Masks for one incident: equal secrets get equal masks (``***1``), so that a reader sees that they are equal.

    A secret that was recognised once is blanked wherever it stands later, with or without a telling name beside it.
    ``first`` is the first number to be given, for a process that goes on where another stopped.
    """

    def __init__(self, first: int = 1) -> None:
        self._first = first
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        text = _masked(text, self._blank)
        for secret, name in self._known.items():
            if len(secret) >= _LONG_ENOUGH and secret in text:
                text = text.replace(secret, name)
        return text

    def _blank(self, match: re.Match[str]) -> str:
        secret = match[2]
        if _MASKED.fullmatch(secret):
            return match[0]
        name = self._known.setdefault(secret, f"***{self._first + len(self._known)}")
        return f"{match[1]}{name}"


def highest_mask(text: str) -> int:
    """The highest number among the masks in ``text``, 0 where there is none."""
    if "***" not in text:
        return 0
    return max((int(number) for number in re.findall(r"\*\*\*(\d{1,6})", text)), default=0)


def _masked(text: str, blank: _Blank) -> str:
    small = text.lower()
    if (
        "kind" in small and "secret" in small and _A_SECRET.search(text)
    ):  # by where it stands: whatever a Secret holds is one
        text = _DATA_JSON.sub(lambda found: _VALUE_JSON.sub(blank, found[0]), text)
        text = _DATA_YAML.sub(lambda found: _blanked_block(found, blank), text)
    there = {word for word in _ANY_WORD if word in small}
    for words, pattern in _PATTERNS if there else ():
        if not there.isdisjoint(words):
            text = pattern.sub(blank, text)
    return text


def _blanked_block(found: re.Match[str], blank: _Blank) -> str:
    body = found["body"]
    return found[0][: len(found[0]) - len(body)] + _VALUE_YAML.sub(blank, body)
