"""Prometheus, and what speaks its query API (Thanos, Mimir, VictoriaMetrics).

May know: HTTP, the ports and the domain. Must not know: other adapters, the store, actors.
"""
