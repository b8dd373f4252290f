"""How a conversation is called."""

from midwatch.domain.masking import mask

_LONGEST = 60


def title_of(text: str) -> str:
    """The first words, to tell conversations apart by; without secrets."""
    line = " ".join(mask(text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
