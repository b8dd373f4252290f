"""The rim: what talks to databases, clusters, models and people.

May know: ``midwatch.domain``, the ports in ``midwatch.services``, and one vendor each. Must not know: one another
(helpers shared by several stand in ``midwatch.adapters.system``), Ray or FastAPI.
"""
