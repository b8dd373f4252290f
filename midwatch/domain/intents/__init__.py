"""What a person wants, read from their words without a model: keywords in order of priority. Pure and total.

English; tolerant of mentions, case, emoji, backticks and politeness. Commands that change something are taken only from
the beginning of a message: "why did web restart?" asks, "restart web" orders.
"""

from midwatch.domain.intents.reading import intent_of
from midwatch.domain.intents.words import KINDS, LONGEST, Intent, Kind, clean

__all__ = ["KINDS", "LONGEST", "Intent", "Kind", "clean", "intent_of"]
