"""Every table of Midwatch. The migrations create them; a test holds both to be the same.

Values live as msgspec JSON: ``json`` (text kept as it is, NUL escapes included, which ``jsonb`` would refuse) where a
person may want to query, ``bytea`` for the snapshot that only Midwatch reads. What is looked up by a text of unbounded
length (keys made of alert labels) is indexed by its digest, because an index row holds 2.7 kB at most.
"""

import hashlib

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from midwatch.adapters.store.columns import Id, Instant, JsonText, metadata

__all__ = ["Id", "Instant", "JsonText", "metadata"]

IS_OPEN = text("state NOT IN ('resolved', 'closed')")
"""Literal, not by parameters, in the index and in queries: else a prepared plan could not use the partial index."""
claim_token = Sequence("claim_token", metadata=metadata)
lease_token = Sequence("lease_token", metadata=metadata)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("key", Text, nullable=False),
    Column("key_digest", LargeBinary, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("severity_rank", SmallInteger, nullable=False),
    Column("condition", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("owner", JsonText, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("active", Integer, nullable=False),
    Column("members", Integer, nullable=False),
    Index("uq_incidents_open_key", "key_digest", unique=True, postgresql_where=IS_OPEN),
    Index("ix_incidents_updated_at", "updated_at"),
    Index("ix_incidents_ended_at", "ended_at"),
    Index("ix_incidents_key_digest_ended_at", "key_digest", "ended_at"),
)

incident_events = Table(
    "incident_events",
    metadata,
    Column("incident_id", Id(), ForeignKey("incidents.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("data", JsonText, nullable=False),
    PrimaryKeyConstraint("incident_id", "seq"),
)

work = Table(
    "work",
    metadata,
    Column("incident_id", Id(), ForeignKey("incidents.id"), nullable=False),
    Column("work", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("due_at", Instant),  # as decide() says; NULL: at once
    Column("retry_at", Instant),  # after a failure; both must have come
    Column("severity_rank", SmallInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("claim_owner", Text),
    Column("claim_token", BigInteger),
    Column("claim_until", Instant),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("error", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("incident_id", "work"),
)

signals = Table(
    "signals",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("delivery", LargeBinary, nullable=False),
    Column("episode", LargeBinary, nullable=False),
    Column("identity", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("place", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("looks", Integer, nullable=False, server_default=text("0")),
    Column("settled", Boolean, nullable=False, server_default=text("false")),
    Column("outcome", Text, nullable=False, server_default=text("''")),
    Column("incident_id", Id()),
    Column("repeats", Integer, nullable=False, server_default=text("0")),
    Column("data", JsonText, nullable=False),
    UniqueConstraint("delivery"),
    Index("ix_signals_episode", "episode"),
    Index("ix_signals_unsettled", "received_at", "place", postgresql_where=text("NOT settled")),
    Index("ix_signals_received_at", "received_at"),
)

clicks = Table(
    "clicks",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("approval_id", Id(), nullable=False),
    Column("at", Instant, nullable=False),
    Column("outcome", Text),
    Column("sentence", Text, nullable=False, server_default=text("''")),
    Column("data", JsonText, nullable=False),
    Index("ix_clicks_unsettled", "at", "id", postgresql_where=text("outcome IS NULL")),
)

leases = Table(
    "leases",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("until", Instant, nullable=False),
    Column("cooling", Boolean, nullable=False),
)

cards = Table(
    "cards",
    metadata,
    Column("incident_id", Id(), ForeignKey("incidents.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("ref", Text, nullable=False, server_default=text("''")),
    Column("seq", Integer, nullable=False, server_default=text("0")),
    Column("digest", Text, nullable=False, server_default=text("''")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("sent_at", Instant),
    Column("next_at", Instant),
    Column(
        "wanted", Integer, nullable=False, server_default=text("0")
    ),  # the incident's own seq, as of its last append
    Column("posting_at", Instant),
    Column("shown", Text, nullable=False, server_default=text("''")),
    Column("held_until", Instant),
    PrimaryKeyConstraint("incident_id", "channel"),
    Index("ix_cards_behind", "channel", postgresql_where=text("wanted > seq")),
    Index("ix_cards_channel_ref", "channel", "ref"),
    Index("ix_cards_held", "channel", "held_until", postgresql_where=text("held_until IS NOT NULL")),
)

digests = Table(
    "digests",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ref", Text, nullable=False, server_default=text("''")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("next_at", Instant),
    Column("posting_at", Instant),
    Column("sent_at", Instant),
    Column("data", JsonText, nullable=False),
    Index("ix_digests_unsent", "channel", "at", postgresql_where=text("sent_at IS NULL")),
)

arrivals = Table(
    "arrivals",
    metadata,
    Column("channel", Text, nullable=False),
    Column("id", Id(), nullable=False),
    Column("at", Instant, nullable=False),
    Column("ref", Text, nullable=False, server_default=text("''")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("next_at", Instant),
    Column("settled_at", Instant),
    Column("data", JsonText, nullable=False),
    PrimaryKeyConstraint("channel", "id"),
    Index("ix_arrivals_unsettled", "channel", "at", postgresql_where=text("settled_at IS NULL")),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("incident_id", Id(), ForeignKey("incidents.id"), nullable=False),
    Column("digest", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("decided_by", Text, nullable=False, server_default=text("''")),
    Column("data", JsonText, nullable=False),
    Index("ix_approvals_requested_at", "requested_at"),
    Index("ix_approvals_incident_id", "incident_id"),
)

silences = Table(
    "silences",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("data", JsonText, nullable=False),
    Index("ix_silences_ends_at", "ends_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("about", Id(), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("data", JsonText, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("ix_audit_at", "at"),
    Index("ix_audit_about", "about"),
)

pauses = Table(
    "pauses",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant),  # NULL: until it is lifted
    Column("data", JsonText, nullable=False),
    Index("ix_pauses_starts_at", "starts_at"),
)

deeds = Table(
    "deeds",
    metadata,
    Column("key", Id(), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("failed", Boolean, nullable=False, server_default=text("false")),
    Index("ix_deeds_at", "at"),
    Index("ix_deeds_ended_at", "ended_at"),
)

shadows = Table(
    "shadows",
    metadata,
    Column("key", Id(), primary_key=True),
    Column("incident_id", Id(), nullable=False),
    Column("playbook", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("scored_at", Instant),
    Column("score", Text, nullable=False, server_default=text("''")),
    Column("data", JsonText, nullable=False),
    Index("ix_shadows_playbook_at", "playbook", "at"),
    Index("ix_shadows_unscored", "at", postgresql_where=text("scored_at IS NULL")),
)

users = Table(
    "users",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("title", Text, nullable=False, server_default=text("''")),
    Column("model", Text, nullable=False, server_default=text("''")),
    Column("created_at", Instant, nullable=False),
    Column("removed_at", Instant),
    UniqueConstraint("name"),
)

identities = Table(
    "identities",
    metadata,
    Column("identity", Text, primary_key=True),  # channel:id, as the channel authenticated it
    Column("user_id", Id(), ForeignKey("users.id"), nullable=False),
    Column("linked_at", Instant, nullable=False),
    Index("ix_identities_user_id", "user_id"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("user_id", Id(), ForeignKey("users.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("label", Text, nullable=False, server_default=text("''")),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    UniqueConstraint("digest"),
    Index("ix_tokens_user_id", "user_id"),
)

link_codes = Table(
    "link_codes",
    metadata,
    Column("user_id", Id(), ForeignKey("users.id"), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("expires_at", Instant, nullable=False),
    UniqueConstraint("digest"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("thread", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("incident_id", Id(), nullable=False, server_default=text("''")),
    Column("title", Text, nullable=False, server_default=text("''")),
    Column("model", Text, nullable=False, server_default=text("''")),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("channel", "thread"),
    Index("ix_conversations_owner_updated_at", "owner", "updated_at"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("conversation_id", Id(), ForeignKey("conversations.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("author", Text, nullable=False, server_default=text("''")),
    Column("place", Text, nullable=False, server_default=text("''")),  # where the channel wants the answer
    Column("ref", Text, nullable=False, server_default=text("''")),  # the channel's own id of the answer
    Column("model", Text, nullable=False, server_default=text("''")),
    Column("reply_to", Id()),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("until", Instant),
    UniqueConstraint("reply_to"),
    Index("ix_messages_conversation_id_at", "conversation_id", "at"),
    Index("ix_messages_waiting", "channel", "at", postgresql_where=text("state = 'waiting'")),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("cluster", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("gap_s", Float, nullable=False),
    Column("beats", Integer, nullable=False),
)


spend = Table(
    "spend",
    metadata,
    Column("day", Date, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("calls", "tool_calls", "input", "output", "cache_read", "cache_write")
    ),
    Column("usd", Double, nullable=False),
    Column("wall_s", Double, nullable=False),
    PrimaryKeyConstraint("day", "provider", "model"),
)


def digest(text: str) -> bytes:
    """16 bytes that stand for a text of any length in an index."""
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).digest()


def plain(text: str) -> str:
    """Text as PostgreSQL takes it: without NUL."""
    return text.replace("\x00", "�")
