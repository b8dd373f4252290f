"""The stores of one process over one database."""

from dataclasses import dataclass

from midwatch.adapters.store.arrivals import PostgresArrivals
from midwatch.adapters.store.attic import PostgresAttic
from midwatch.adapters.store.audit import PostgresAudit
from midwatch.adapters.store.brakes import PostgresDeeds, PostgresPauses
from midwatch.adapters.store.cards import PostgresCards
from midwatch.adapters.store.clicks import PostgresClicks
from midwatch.adapters.store.conversations import PostgresConversations
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.digests import PostgresDigests
from midwatch.adapters.store.heartbeats import PostgresHeartbeats
from midwatch.adapters.store.inbox import PostgresInbox
from midwatch.adapters.store.journal import PostgresJournal
from midwatch.adapters.store.leases import PostgresLeases
from midwatch.adapters.store.shadows import PostgresShadows
from midwatch.adapters.store.silences import PostgresSilences
from midwatch.adapters.store.spend import PostgresSpend
from midwatch.adapters.store.users import PostgresUsers
from midwatch.adapters.store.work import PostgresWork
from midwatch.services.brakes import DeedBook, PauseBook
from midwatch.services.conversations import Conversations
from midwatch.services.digesting import DigestBox
from midwatch.services.heartbeats import HeartbeatBook
from midwatch.services.leases import Leases
from midwatch.services.ports import ArrivalBox, AuditTrail, CardBox, ClickBox, Inbox, Journal, SilenceBook, WorkQueue
from midwatch.services.retention import Attic
from midwatch.services.shadowing import ShadowBook
from midwatch.services.spending import SpendBook
from midwatch.services.users import UserBook


@dataclass(frozen=True)
class Stores:
    """One of each port to the store."""

    journal: Journal
    work: WorkQueue
    inbox: Inbox
    clicks: ClickBox
    leases: Leases
    cards: CardBox
    silences: SilenceBook
    users: UserBook
    audit: AuditTrail
    pauses: PauseBook
    deeds: DeedBook
    shadows: ShadowBook
    heartbeats: HeartbeatBook
    attic: Attic
    conversations: Conversations
    arrivals: ArrivalBox
    digests: DigestBox
    spend: SpendBook


def open_stores(database: Database) -> Stores:
    """Does no I/O; closing is the database's."""
    return Stores(
        journal=PostgresJournal(database),
        work=PostgresWork(database),
        inbox=PostgresInbox(database),
        clicks=PostgresClicks(database),
        leases=PostgresLeases(database),
        cards=PostgresCards(database),
        silences=PostgresSilences(database),
        users=PostgresUsers(database),
        audit=PostgresAudit(database),
        pauses=PostgresPauses(database),
        deeds=PostgresDeeds(database),
        shadows=PostgresShadows(database),
        heartbeats=PostgresHeartbeats(database),
        attic=PostgresAttic(database),
        conversations=PostgresConversations(database),
        arrivals=PostgresArrivals(database),
        digests=PostgresDigests(database),
        spend=PostgresSpend(database),
    )
