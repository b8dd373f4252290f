"""An answer to an approval as a channel carries it: a button's token of at most 64 bytes, or a line of text."""

import re
from typing import Final

import msgspec

from midwatch.domain.approvals import Choice
from midwatch.domain.cards import Button
from midwatch.domain.ids import ApprovalId
from midwatch.domain.texts import clean, cut

_LETTERS: Final = {Choice.APPROVE: "a", Choice.CONFIRM: "c", Choice.REJECT: "r"}
_CHOICES: Final = {letter: choice for choice, letter in _LETTERS.items()}
_DIGEST_KEPT: Final = 12
_TOKEN: Final = re.compile(r"([acr]):([0-9a-f-]{8,36}):([0-9a-f]{0,64})")
_ID: Final = r"([0-9a-f]{8}[0-9a-f-]{0,28})"
_LINE: Final = re.compile(rf"(?is)\s*/?(approve|confirm|reject)(?:@\w+)?\s+{_ID}(?:[\s:,]+(.*))?\s*")
LONGEST_COMMENT: Final = 500


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """``approval`` and ``digest`` may be unique beginnings of the real ones; ``comment`` is a reason in words."""

    choice: Choice
    approval: ApprovalId
    digest: str = ""
    comment: str = ""


def button_token(button: Button) -> str:
    """What a pressed button sends back: choice, approval and the beginning of the digest, in at most 64 bytes."""
    return f"{_LETTERS[button.choice]}:{button.approval}:{button.digest[:_DIGEST_KEPT]}"


def read_token(token: str) -> Answer | None:
    """The answer that a button stands for; ``None`` for what no button of ours sends."""
    found = _TOKEN.fullmatch(token) if len(token) <= 200 else None
    return Answer(_CHOICES[found[1]], ApprovalId(found[2]), found[3]) if found else None


def read_line(text: str) -> Answer | None:
    """``approve <id>``, ``confirm <id>`` or ``reject <id> [reason]``; ``None`` for any other text."""
    found = _LINE.fullmatch(clean(text[:2000]).replace("`", ""))
    if found is None:
        return None
    comment = cut((found[3] or "").strip(), LONGEST_COMMENT)
    return Answer(Choice(found[1].lower()), ApprovalId(found[2].lower()), comment=comment)
