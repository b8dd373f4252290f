"""Pauses, executions that are counted, and what playbooks in shadow mode would have done."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
    )
    op.create_index("ix_pauses_starts_at", "pauses", ["starts_at"])
    op.create_table(
        "deeds",
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("failed", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_deeds")),
    )
    op.create_index("ix_deeds_at", "deeds", ["at"])
    op.create_index("ix_deeds_ended_at", "deeds", ["ended_at"])
    op.create_table(
        "shadows",
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("incident_id", sa.Text(collation="C"), nullable=False),
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True)),
        sa.Column("score", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_shadows")),
    )
    op.create_index("ix_shadows_playbook_at", "shadows", ["playbook", "at"])
    op.create_index("ix_shadows_unscored", "shadows", ["at"], postgresql_where=sa.text("scored_at IS NULL"))


def downgrade() -> None:
    op.drop_table("shadows")
    op.drop_table("deeds")
    op.drop_table("pauses")
