"""Lengths of time in words."""

from datetime import timedelta


def in_words(span: timedelta) -> str:
    """A length of time in at most two units: ``42 s``, ``3 min``, ``2 h 10 min``, ``4 d``. Never negative."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 86400:
        minutes = seconds % 3600 // 60
        return f"{seconds // 3600} h" + (f" {minutes} min" if minutes else "")
    return f"{seconds // 86400} d"
