"""What happened, append-only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, now


class AuditEntry(Base):
    __tablename__ = "audit_entries"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=now)
    user_id: Mapped[str | None]
    app_id: Mapped[str | None] = mapped_column(index=True)
    """No foreign key: the entry outlives what it speaks of."""
    verb: Mapped[str]
    detail: Mapped[dict[str, Any]]
