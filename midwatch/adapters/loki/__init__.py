"""Loki: collected log lines.

May know: HTTP, the ports and the domain. Must not know: other adapters, the store, actors.
"""
