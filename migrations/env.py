"""Runs the migrations on the installation's database."""

from __future__ import annotations

from alembic import context

from core.config import Settings
from models import Base
from models.session import engine


def migrate() -> None:
    """Upgrade or downgrade in one transaction, on the URL given by the caller or the settings."""
    url = context.config.get_main_option("sqlalchemy.url") or Settings().database
    made = engine(url)
    with made.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    made.dispose()


migrate()
