"""Telegram. May know: the Bot API and its HTML. Only ``channel`` and ``polling`` import its SDK: the edge reads updates
with ``updates`` alone.
"""
