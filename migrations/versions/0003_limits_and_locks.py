"""limits and locks"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = "0002"
branch_labels = None
depends_on = None

# Column by column, not in batches: on SQLite a batch makes the table anew, and dropping the old one would take along
# every row that refers to it.


def upgrade() -> None:
    op.add_column('apps', sa.Column('locked', sa.String(), nullable=True))
    op.add_column('apps', sa.Column('locked_by', sa.String(), nullable=True))
    op.add_column('formations', sa.Column('memory', sa.BigInteger(), nullable=True))
    op.add_column('formations', sa.Column('cpus', sa.Double(), nullable=True))
    op.add_column('formations', sa.Column('pids', sa.Integer(), nullable=True))
    op.add_column('releases', sa.Column('collected', sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column('releases', 'collected')
    op.drop_column('formations', 'pids')
    op.drop_column('formations', 'cpus')
    op.drop_column('formations', 'memory')
    op.drop_column('apps', 'locked_by')
    op.drop_column('apps', 'locked')
