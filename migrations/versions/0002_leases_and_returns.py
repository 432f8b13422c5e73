"""Leases of jobs, places for builds, instances kept for a quick return.

Revision ID: 0002
Revises: 0001
"""

from typing import Any

from alembic import op
import sqlalchemy as sa

from models.base import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS: dict[str, list[sa.Column[Any]]] = {
    "jobs": [sa.Column("holder", sa.String(), nullable=True), sa.Column("cancelled_by", sa.String(), nullable=True)],
    "builds": [
        sa.Column("waiting", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("manifest", sa.JSON(), nullable=True),
    ],
    "releases": [
        sa.Column("manifest", sa.JSON(), nullable=True),
        sa.Column("returns_to", sa.Integer(), nullable=True),
        sa.Column("trouble", sa.String(), nullable=True),
    ],
    "deployments": [sa.Column("retained_until", UTCDateTime(timezone=True), nullable=True)],
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.add_column(column.copy())


def downgrade() -> None:
    for table, columns in COLUMNS.items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column.name)
