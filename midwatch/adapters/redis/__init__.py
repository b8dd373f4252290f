"""Redis (or Valkey): a cache beside the store, never the only copy of anything.

May know: redis-py and the command set of Redis 7.0. Must not know: incidents. Whoever uses it goes on without it.
"""
