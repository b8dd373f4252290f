"""Builds everything for one process: stores, adapters and services, opened in order and closed in reverse.

May know: every package of the library below it. Nothing is opened at import. The parts of one role stand in a module of
their own, so that a process imports what it uses and no more: ``detection``, ``investigation``, ``remediation``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from midwatch.adapters.store.database import Database
from midwatch.adapters.store.stores import Stores, open_stores
from midwatch.adapters.system import SystemClock, SystemIds, SystemSecrets
from midwatch.domain.errors import Permanent
from midwatch.domain.incidents import Work
from midwatch.services.desk import Desk
from midwatch.services.ports import Claim
from midwatch.services.retention import Keep, Retention
from midwatch.services.ringing import RingingJournal
from midwatch.services.runtime import Bells
from midwatch.services.users import Users
from midwatch.settings import Settings


@asynccontextmanager
async def prepare_resources(settings: Settings, *, owner: str) -> AsyncIterator["Resources"]:
    """The stores of one process, whether or not the database can be reached yet."""
    if settings.database_url is None:
        raise Permanent("no database URL: `midwatch up` gives one to every process it starts")
    database = Database(settings.database_url.get_secret_value(), pool_size=settings.database_pool)
    try:
        yield Resources(settings, database, open_stores(database), owner)
    finally:
        await database.close()


@asynccontextmanager
async def open_resources(settings: Settings, *, owner: str) -> AsyncIterator["Resources"]:
    """The stores of one process, known to answer. Raises ``Transient`` while they are away."""
    async with prepare_resources(settings, owner=owner) as resources:
        await resources.database.health()
        yield resources


class Resources:
    """What one process works with. ``owner`` is its name in claims."""

    def __init__(self, settings: Settings, database: Database, stores: Stores, owner: str) -> None:
        self.settings, self.database, self.stores, self.owner = settings, database, stores, owner
        self.clock, self.ids = SystemClock(), SystemIds()

    def journal(self, bells: Bells) -> RingingJournal:
        """The journal that rings whoever is needed after each append."""
        return RingingJournal(self.stores.journal, bells)

    def retention(self) -> Retention:
        """What deletes by age."""
        days = self.settings
        keep = Keep.days(incidents=days.keep_incidents_days, signals=days.keep_signals_days)
        return Retention(self.stores.attic, keep, self.clock)

    def users(self) -> Users:
        """Who people are, and what they may do."""
        return Users(self.stores.users, self.clock, self.ids, SystemSecrets())

    @asynccontextmanager
    async def desk(
        self,
        works: Sequence[Work],
        do: Callable[[Claim], Awaitable[object]],
        bells: Bells,
        *,
        slots: int,
        max_attempts: int = 8,
        cancel_lost: bool = False,
        on_free: Callable[[], None] | None = None,
    ) -> AsyncIterator[Desk]:
        """A desk whose running work is cancelled when the block is left."""
        desk = Desk(
            self.stores.work,
            self.journal(bells),
            works,
            do,
            self.clock,
            owner=self.owner,
            ttl_s=self.settings.claim_ttl_s,
            slots=slots,
            max_attempts=max_attempts,
            cancel_lost=cancel_lost,
            on_free=on_free,
        )
        try:
            yield desk
        finally:
            await desk.stop()
