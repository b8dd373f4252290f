"""Digests, and cards that wait for one."""

import sqlalchemy as sa
from alembic import op

from midwatch.adapters.store.tables import Id, Instant, JsonText

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cards", sa.Column("held_until", Instant))
    op.create_index(
        op.f("ix_cards_held"),
        "cards",
        ["channel", "held_until"],
        postgresql_where=sa.text("held_until IS NOT NULL"),
    )
    op.create_table(
        "digests",
        sa.Column("id", Id(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("ref", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("error", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("next_at", Instant),
        sa.Column("posting_at", Instant),
        sa.Column("sent_at", Instant),
        sa.Column("data", JsonText, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digests")),
    )
    op.create_index(
        op.f("ix_digests_unsent"), "digests", ["channel", "at"], postgresql_where=sa.text("sent_at IS NULL")
    )


def downgrade() -> None:
    op.drop_table("digests")
    op.drop_index(op.f("ix_cards_held"), table_name="cards")
    op.drop_column("cards", "held_until")
