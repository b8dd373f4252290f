"""The work queue in PostgreSQL: rows that ``decide`` derived, claimed with SKIP LOCKED under rising tokens."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.errors import ClaimLost
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Work
from midwatch.services.ports import Claim
from midwatch.services.runtime import TURNED_BACK

_FREE = {"claim_owner": None, "claim_token": None, "claim_until": None}

_CLAIM = text("""
    WITH picked AS (
        SELECT incident_id, work FROM work
         WHERE work = ANY(CAST(:works AS text[])) AND coalesce(due_at <= :now, true)
           AND coalesce(retry_at <= :now OR retry_at > :absurd, true)
           AND coalesce(claim_until <= :now OR claim_until > :absurd, true)
         ORDER BY severity_rank DESC, created_at, incident_id, work
         LIMIT :limit
           FOR UPDATE SKIP LOCKED
    )
    UPDATE work SET claim_owner = :owner, claim_token = nextval('claim_token'), claim_until = :until,
                    attempts = attempts + 1
      FROM picked WHERE work.incident_id = picked.incident_id AND work.work = picked.work
    RETURNING work.incident_id, work.work, work.claim_token, work.attempts, work.severity_rank, work.created_at
""")

_ABANDON = text("""
    WITH held AS (
        SELECT incident_id, work FROM work WHERE claim_owner = :owner ORDER BY incident_id, work FOR UPDATE
    )
    UPDATE work SET claim_owner = NULL, claim_token = NULL, claim_until = NULL
      FROM held WHERE work.incident_id = held.incident_id AND work.work = held.work
""")


class PostgresWork:
    """See :class:`midwatch.services.ports.WorkQueue`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, works: Sequence[Work], *, owner: str, now: datetime, ttl: timedelta, limit: int = 1
    ) -> tuple[Claim, ...]:
        until = now + ttl
        wanted = {
            "works": [work.value for work in works],
            "owner": owner,
            "now": now,
            "absurd": now + TURNED_BACK,
            "until": until,
            "limit": limit,
        }
        async with self._database.begin() as connection:
            rows = (await connection.execute(_CLAIM, wanted)).all()
        rows = sorted(rows, key=lambda row: (-row.severity_rank, row.created_at, row.incident_id, row.work))
        return tuple(
            Claim(IncidentId(row.incident_id), Work(row.work), owner, row.claim_token, until, row.attempts)
            for row in rows
        )

    async def renew(self, claim: Claim, *, now: datetime, ttl: timedelta) -> Claim:
        until = now + ttl
        async with self._database.begin() as connection:
            kept = await connection.execute(update(t.work).where(_is(claim)).values(claim_until=until))
        if kept.rowcount == 0:
            raise ClaimLost(f"'{claim.work}' of incident {claim.incident} is no longer claimed by {claim.owner}")
        return Claim(claim.incident, claim.work, claim.owner, claim.token, until, claim.attempt)

    async def release(self, claim: Claim, *, retry_at: datetime | None = None, error: str = "") -> None:
        freed = update(t.work).where(_is(claim)).values(retry_at=retry_at, error=t.plain(error), **_FREE)
        async with self._database.begin() as connection:
            await connection.execute(freed)

    async def abandon(self, owner: str) -> int:
        async with self._database.begin() as connection:
            return (await connection.execute(_ABANDON, {"owner": owner})).rowcount

    async def waiting(self, works: Sequence[Work], *, now: datetime) -> int:
        w = t.work.c
        absurd = now + TURNED_BACK
        due = func.coalesce(w.due_at <= now, True)
        retried = func.coalesce(or_(w.retry_at <= now, w.retry_at > absurd), True)
        free = func.coalesce(or_(w.claim_until <= now, w.claim_until > absurd), True)
        query = select(func.count()).select_from(t.work).where(w.work.in_(works), due, retried, free)
        async with self._database.begin() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def next_due(self, works: Sequence[Work], *, now: datetime) -> datetime | None:
        w = t.work.c
        due = func.coalesce(func.greatest(w.due_at, w.retry_at), w.created_at)
        ran_out = or_(w.claim_until.is_(None), w.claim_until <= now)
        free = select(func.min(due)).where(w.work.in_(works), ran_out)
        held = select(func.min(func.greatest(due, w.claim_until))).where(w.work.in_(works), ~ran_out)
        async with self._database.begin() as connection:
            row = (await connection.execute(select(free.scalar_subquery(), held.scalar_subquery()))).one()
        dues = [due for due in row if due is not None]
        return min(dues, default=None)


def _is(claim: Claim) -> ColumnElement[bool]:
    w = t.work.c
    return and_(w.incident_id == claim.incident, w.work == claim.work.value, w.claim_token == claim.token)
