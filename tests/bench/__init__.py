"""Measurements: JSON lines of name, value, unit and context. ``python -m tests.bench --help``."""
