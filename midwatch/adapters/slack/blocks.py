"""A card in Block Kit. Text from outside is escaped, its marks replaced: it can name no one and style nothing."""

import re
from typing import Final, TypeAlias

from midwatch.domain.answers import button_token
from midwatch.domain.approvals import Choice
from midwatch.domain.card_words import Words, words_of
from midwatch.domain.cards import Button, Card
from midwatch.domain.digests import Digest
from midwatch.domain.ids import IncidentId, short
from midwatch.domain.texts import clean, cut

Json: TypeAlias = "str | bool | list[Json] | dict[str, Json]"

SECTION, HEADER, FALLBACK, TEXT = 3000, 150, 300, 3500
"""Characters that Slack takes in a section and a header, and that we send as fallback and as text of a reply."""

_COLOUR: Final = {"good": "#2eb67d", "bad": "#e01e5a", "ask": "#ecb22e", "work": "#36c5f0", "quiet": "#9a9a9a"}
_STYLE: Final = {Choice.APPROVE: "primary", Choice.CONFIRM: "danger", Choice.REJECT: ""}
_MARKS: Final = str.maketrans({"*": "∗", "`": "ˋ", "~": "∼"})
_EDGE: Final = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def escaped(text: str) -> str:
    """``text`` with Slack's three control characters as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def prose(text: str) -> str:
    """``text`` for mrkdwn: escaped, and without marks that would style it. Underscores inside of names stay."""
    return escaped(_EDGE.sub("＿", text).translate(_MARKS))


def code(text: str, room: int = SECTION) -> str:
    """``text`` as a code block that it cannot leave, in at most ``room`` characters."""
    inside = text.replace("```", "ˋˋˋ").replace("`", "ˋ")
    return f"```\n{_fit(inside, room - 8)}\n```"


def card_message(card: Card, *, link: str = "") -> dict[str, Json]:
    """The arguments of ``chat.postMessage`` and ``chat.update`` that make this card. ``link`` is the console's page."""
    words = words_of(card)
    blocks: list[Json] = [
        {
            "type": "section",
            "block_id": block_id(card.incident),
            "text": _mrkdwn(f"{words.icon} *{prose(words.title)}*\n{prose(' · '.join(words.facts))}"),
        }
    ]
    blocks += [_section(text) for text in _paragraphs(words, link) if text]
    if card.buttons:
        blocks.append({"type": "actions", "elements": [_button(button) for button in card.buttons]})
    context = [f"`{short(card.incident)}`", *([f"<{link}|console>"] if link else [])]
    blocks.append({"type": "context", "elements": [_mrkdwn(" · ".join(context))]})
    fallback = cut(escaped(f"{words.icon} {words.title} – {', '.join(words.facts)}"), FALLBACK)
    return {"text": fallback, "attachments": [{"color": _COLOUR[words.tone], "fallback": fallback, "blocks": blocks}]}


def details_message(card: Card) -> dict[str, Json]:
    """The investigation, for the card's thread."""
    lines = "\n".join(f"• {prose(line)}" for line in words_of(card).details)
    text = cut(lines, SECTION)
    return {"text": "The investigation", "blocks": [_section(text)]}


def digest_message(digest: Digest) -> dict[str, Json]:
    """What was held back, in one message."""
    lines = [
        f"{line.icon} *{prose(line.title)}*\n{prose(' · '.join(line.facts))} · `{short(line.incident)}`"
        for line in digest.shown
    ]
    heading = {"type": "section", "block_id": digest_block_id(digest.id), "text": _mrkdwn(f"*{prose(digest.heading)}*")}
    blocks: list[Json] = [heading, *map(_section, lines), *([_section(prose(digest.more))] if digest.more else [])]
    return {"text": cut(escaped(digest.heading), FALLBACK), "blocks": blocks}


def text_message(text: str) -> dict[str, Json]:
    """A reply in plain text; its ``` fences become code blocks."""
    blocks: list[Json] = []
    for place, part in enumerate(cut(clean(text), TEXT).split("```")):
        if part.strip():
            inside = part.strip("\n")
            blocks.append(_section(code(inside) if place % 2 else _fit_prose(inside)))
    fallback = cut(escaped(clean(text)), FALLBACK) or "…"
    return {"text": fallback, "blocks": blocks or [_section("…")]}


def block_id(incident: IncidentId) -> str:
    """By which an incident's card is found again in a channel's history."""
    return f"card:{incident}"


def digest_block_id(digest_id: str) -> str:
    """By which a digest is found again in a channel's history."""
    return f"digest:{digest_id}"


def _paragraphs(words: Words, link: str) -> list[str]:
    proof = f" · <{link}#evidence|evidence>" if link and words.evidence else ""
    cause = [f"*Cause:* {prose(words.cause)}{proof}"] if words.cause else []
    cause += [code("\n".join(words.evidence), 900)] if words.evidence else []
    fix = [f"*Fix:* {prose(words.action)}"] if words.action else []
    fix += [code(words.diff, 1500)] if words.diff else []
    fix += [f"• {prose(line)}" for line in words.effects]
    ask = [f"*{prose(words.ask)}*"] if words.ask else []
    ask += [prose(words.hint)] if words.hint else []
    return ["\n".join(cause), "\n".join(fix), "\n".join(ask), prose(words.outcome)]


def _section(text: str) -> Json:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": _whole(text, SECTION), "verbatim": True}


def _button(button: Button) -> Json:
    made: dict[str, Json] = {
        "type": "button",
        "action_id": f"answer:{button.choice}",
        "text": {"type": "plain_text", "text": button.label},
        "value": button_token(button),
    }
    if style := _STYLE[button.choice]:
        made["style"] = style
    return made


def _fit(text: str, room: int) -> str:
    """``text`` escaped in at most ``room`` characters, no entity cut in two."""
    if len(fitting := escaped(text)) <= room:
        return fitting
    while len(fitting := escaped(text)) > room - 1:
        text = text[: min(len(text) - 1, int(len(text) * room / len(fitting)))]
    return fitting + "…"


def _fit_prose(text: str) -> str:
    return _whole(prose(text), SECTION)


def _whole(text: str, room: int) -> str:
    """At most ``room`` characters, not ending within an entity."""
    if len(text) <= room:
        return text
    kept = text[: room - 1]
    start = kept.rfind("&")
    return (kept[:start] if start >= 0 and ";" not in kept[start:] else kept) + "…"
