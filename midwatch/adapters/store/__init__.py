"""The store: journal, work, inbox, clicks, leases and cards as PostgreSQL tables.

May know: ``midwatch.domain``, the ports in ``midwatch.services.ports``, SQLAlchemy Core, asyncpg and Alembic. Must not
know: who reads or writes, or any other adapter. Time comes with every call and never from the server; what an append
derives is computed by pure functions in ``projection``, which the in-memory twin of the tests shares.
"""
