"""Leases in PostgreSQL: one mutating plan per resource, and a rest between two."""

from datetime import datetime, timedelta

from sqlalchemy import case, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Work
from midwatch.services.leases import Lease, LeaseState
from midwatch.services.runtime import LONGEST_REST


class PostgresLeases:
    """See :class:`midwatch.services.leases.Leases`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(
        self, resource: str, *, holder: str, now: datetime, ttl: timedelta, rest: timedelta = LONGEST_REST
    ) -> Lease:
        row = {
            "resource": resource,
            "holder": holder,
            "token": t.lease_token.next_value(),
            "until": now + ttl,
            "cooling": False,
        }
        asking = insert(t.leases).values(row)
        old, new = t.leases.c, asking.excluded
        mine = old.holder == new.holder
        taking = asking.on_conflict_do_update(
            index_elements=["resource"],
            set_={
                "holder": new.holder,
                "token": case((mine, old.token), else_=new.token),
                "until": new.until,
                "cooling": False,
            },
            where=mine | (old.until <= now),
        ).returning(old.token)
        async with self._database.begin() as connection:
            token = (await connection.execute(taking)).scalar()
            if token is not None:
                return Lease(resource, LeaseState.HELD, holder, token, now + ttl)
            latest = case((old.cooling, now + rest), else_=now + ttl)
            cut = update(t.leases).where(old.resource == resource, old.until > latest).values(until=latest)
            await connection.execute(cut)
            found = (await connection.execute(select(t.leases).where(old.resource == resource))).one()
        state = LeaseState.COOLING if found.cooling else LeaseState.BUSY
        return Lease(resource, state, found.holder, found.token, found.until)

    async def release(self, resource: str, *, holder: str, now: datetime, cooldown: timedelta) -> None:
        c = t.leases.c
        mine = update(t.leases).where(c.resource == resource, c.holder == holder, ~c.cooling)
        async with self._database.begin() as connection:
            await connection.execute(mine.values(until=now + cooldown, cooling=True))

    async def forsaken(self, *, now: datetime) -> tuple[IncidentId, ...]:
        c, w = t.leases.c, t.work.c
        executing = exists().where(w.incident_id == c.holder, w.work == Work.EXECUTE.value)
        query = select(c.holder).distinct().where(~c.cooling, c.until > now, ~executing).order_by(c.holder)
        async with self._database.begin() as connection:
            return tuple(map(IncidentId, (await connection.execute(query)).scalars()))
