"""The days' spending in PostgreSQL."""

from datetime import date

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.database import Database
from midwatch.services.spending import SpendRow

_KEY = ("day", "provider", "model")
_COUNTED = tuple(name for name in SpendRow.__struct_fields__ if name not in _KEY)


class PostgresSpend:
    """See :class:`midwatch.services.spending.SpendBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: SpendRow) -> None:
        writing = upsert(t.spend).values({name: getattr(row, name) for name in (*_KEY, *_COUNTED)})
        sums = {name: t.spend.c[name] + writing.excluded[name] for name in _COUNTED}
        async with self._database.begin() as connection:
            await connection.execute(writing.on_conflict_do_update(index_elements=list(_KEY), set_=sums))

    async def since(self, day: date) -> tuple[SpendRow, ...]:
        s = t.spend.c
        query = select(t.spend).where(s.day >= day).order_by(s.day, s.provider, s.model)
        async with self._database.begin() as connection:
            return tuple(SpendRow(**row) for row in (await connection.execute(query)).mappings())
