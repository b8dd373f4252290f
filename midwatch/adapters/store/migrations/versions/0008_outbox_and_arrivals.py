"""A first post whose outcome is unknown is a row; what a card shows is known; messages are stored, then answered."""

import sqlalchemy as sa
from alembic import op

from midwatch.adapters.store.tables import Id, Instant, JsonText

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cards", sa.Column("posting_at", Instant))
    op.add_column("cards", sa.Column("shown", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_index("ix_cards_channel_ref", "cards", ["channel", "ref"])
    op.create_table(
        "arrivals",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("ref", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("next_at", Instant),
        sa.Column("settled_at", Instant),
        sa.Column("data", JsonText, nullable=False),
        sa.PrimaryKeyConstraint("channel", "id", name="pk_arrivals"),
    )
    unsettled = sa.text("settled_at IS NULL")
    op.create_index("ix_arrivals_unsettled", "arrivals", ["channel", "at"], postgresql_where=unsettled)


def downgrade() -> None:
    op.drop_table("arrivals")
    op.drop_index("ix_cards_channel_ref", table_name="cards")
    op.drop_column("cards", "shown")
    op.drop_column("cards", "posting_at")
