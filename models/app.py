"""An app and what belongs to it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.names import new_id
from models.base import Base, now


class App(Base):
    __tablename__ = "apps"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    branch: Mapped[str | None]
    """The deploy branch; None until the first push chooses main or master."""
    subnet: Mapped[str] = mapped_column(unique=True)
    data_key: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed under the master key, bound to the app's id."""
    config_version: Mapped[int] = mapped_column(default=0)
    stopped: Mapped[bool] = mapped_column(default=False)
    """`ps:stop`: wanted to run nothing."""
    generation: Mapped[int] = mapped_column(default=0)
    """Raised by every restart; instances of an older one are replaced."""
    runs_as: Mapped[int | None]
    """Number of the release whose instances serve as the current one, after a quick return."""
    read_only: Mapped[bool] = mapped_column(default=False)
    health_path: Mapped[str | None]
    """A configured path must answer 2xx or 3xx; None: `/` may answer anything below 500."""
    deleting: Mapped[bool] = mapped_column(default=False)
    """`apps:destroy` has begun; reconcile finishes it."""
    live_commit: Mapped[str | None]
    """The last commit whose push succeeded: the branch's tip outside a push."""
    release_id: Mapped[str | None]
    """The current release."""
    locked: Mapped[str | None]
    """Why no push is taken, in the words of whoever locked it; None: open."""
    locked_by: Mapped[str | None]
    """Their name."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    domains: Mapped[list[Domain]] = relationship(cascade="all, delete-orphan", order_by="Domain.host")


class ConfigVar(Base):
    __tablename__ = "config_vars"
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class Domain(Base):
    __tablename__ = "domains"
    __table_args__ = (UniqueConstraint("host"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"), index=True)
    host: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Formation(Base):
    """How many of each process type are wanted, and what one of them may use; None: the installation's setting."""

    __tablename__ = "formations"
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"), primary_key=True)
    process: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    memory: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes."""
    cpus: Mapped[float | None]
    pids: Mapped[int | None]
