"""Alertmanager's own API, asked for what a truncated webhook body left out."""
