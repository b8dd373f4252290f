"""A card in Telegram's HTML, never longer than a message may be: what matters least gives way first."""

import html
from typing import Final

from midwatch.domain.answers import button_token
from midwatch.domain.card_words import Words, words_of
from midwatch.domain.cards import Card
from midwatch.domain.digests import Digest, more_words
from midwatch.domain.ids import short
from midwatch.domain.texts import clean, cut

_ROOM: Final = 4000
"""Telegram takes 4,096 UTF-16 units in a message, after entities are parsed."""

Keyboard = tuple[tuple[str, str], ...]
"""Buttons in a row: label and callback data."""


def card_html(card: Card, *, link: str = "") -> str:
    """The message's HTML. ``link`` is the console's page."""
    words = words_of(card)
    parts = [part for part in (*_parts(words, link), _foot(card, link)) if part]
    details = list(words.details)
    while details:
        fold = f"<blockquote expandable>{_text(chr(10).join(details))}</blockquote>"
        if length(text := "\n\n".join((*parts[:-1], fold, parts[-1]))) <= _ROOM:
            return text
        details.pop()
    return "\n\n".join(parts)


def digest_html(digest: Digest) -> str:
    """What was held back, in one message."""
    parts = [f"<b>{_text(digest.heading)}</b>"]
    for line in digest.shown:
        facts = _text(" · ".join(line.facts))
        part = f"{line.icon} <b>{_text(line.title)}</b>\n{facts} · <code>{_text(short(line.incident))}</code>"
        if length("\n\n".join((*parts, part, digest.more))) > _ROOM:
            break
        parts.append(part)
    left = len(digest.lines) - len(parts) + 1
    return "\n\n".join((*parts, *([_text(more_words(left))] if left else [])))


def keyboard(card: Card) -> Keyboard:
    """The card's buttons."""
    return tuple((button.label, button_token(button)) for button in card.buttons)


def text_html(text: str) -> str:
    """A reply in plain text; its ``` fences become code."""
    shown = []
    for place, part in enumerate(_cut_units(clean(text), 3900).split("```")):
        if part.strip():
            shown.append(f"<pre>{_text(part.strip(chr(10)))}</pre>" if place % 2 else _text(part.strip("\n")))
    return "\n".join(shown) or "…"


def length(text: str) -> int:
    """UTF-16 units of what is left when tags and entities are parsed: an upper bound, for tags are counted too."""
    return units(html.unescape(text))


def units(text: str) -> int:
    """UTF-16 units, in which Telegram counts."""
    return len(text.encode("utf-16-le", "replace")) // 2


def _parts(words: Words, link: str) -> list[str]:
    head = f"{words.icon} <b>{_text(words.title)}</b>\n{_text(' · '.join(words.facts))}"
    proof = f' · <a href="{html.escape(link)}#evidence">evidence</a>' if link and words.evidence else ""
    cause = [f"<b>Cause:</b> {_text(words.cause)}{proof}"] if words.cause else []
    cause += [f"<pre>{_text(chr(10).join(words.evidence))}</pre>"] if words.evidence else []
    fix = [f"<b>Fix:</b> {_text(words.action)}"] if words.action else []
    fix += [f"<pre>{_text(words.diff)}</pre>"] if words.diff else []
    fix += [f"• {_text(line)}" for line in words.effects]
    ask = [f"<b>{_text(words.ask)}</b>"] if words.ask else []
    if words.hint:
        command, _, until = words.hint.removeprefix("or write: ").partition(",")
        ask.append(f"or write: <code>{_text(command)}</code>{_text(',' + until if until else '')}")
    return [head, "\n".join(cause), "\n".join(fix), "\n".join(ask), _text(words.outcome)]


def _foot(card: Card, link: str) -> str:
    console = f' · <a href="{html.escape(link)}">console</a>' if link else ""
    return f"<code>{_text(short(card.incident))}</code>{console}"


def _text(text: str) -> str:
    return html.escape(text, quote=False)


def _cut_units(text: str, room: int) -> str:
    """At most ``room`` UTF-16 units: a sign beyond the first plane counts twice."""
    while units(text) > room:
        text = cut(text, max(1, len(text) - (units(text) - room + 1) // 2 - 1))
    return text
