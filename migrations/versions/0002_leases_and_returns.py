"""Leases of jobs, places for builds, instances kept for a quick return."""

from typing import Any

import sqlalchemy as sa
from alembic import op

import models.base

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
        sa.Column("trouble", sa.String(), nullable=True),
    ],
    "apps": [sa.Column("runs_as", sa.Integer(), nullable=True)],
    "deployments": [
        sa.Column("runs_as", sa.Integer(), nullable=True),
        sa.Column("retained_until", models.base.UTCDateTime(timezone=True), nullable=True),
    ],
}


# Plainly, not in batches: a batch makes the table anew, and with foreign keys on that takes its children along.
def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(table, column.copy())


def downgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column.name)
