"""Host names an app answers to besides its own."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from control import access, routes, values
from control.context import Context
from control.events import audit
from core import names
from core.errors import Conflict, Invalid, NotFound
from models import Domain


def list_domains(ctx: Context, user: values.User, app: str) -> list[str]:
    with ctx.db.begin() as session:
        return [domain.host for domain in access.find(session, user, app).domains]


def add(ctx: Context, user: values.User, app: str, host: str) -> list[str]:
    """Route `host` to the app; a host belongs to one app."""
    host = names.host(host)
    if host == ctx.settings.domain or host.endswith(f".{ctx.settings.domain}"):
        raise Invalid(f"{host} belongs to the platform", f"Every app has its own name below {ctx.settings.domain}.")
    try:
        with ctx.db.begin() as session:
            row = access.find(session, user, app)
            session.add(Domain(app_id=row.id, host=host))
            session.flush()
            audit(session, "domain.added", user=user.id, app=row.id, host=host)
    except IntegrityError as error:
        raise Conflict(f"{host} is in use already", "domains:list shows the app's.") from error
    routes.put(ctx, row.id)
    return list_domains(ctx, user, app)


def remove(ctx: Context, user: values.User, app: str, host: str) -> list[str]:
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        domain = session.scalar(select(Domain).where(Domain.app_id == row.id, Domain.host == host.lower()))
        if domain is None:
            raise NotFound(f"{app} has no domain {host!r}", "domains:list shows the app's.")
        session.delete(domain)
        audit(session, "domain.removed", user=user.id, app=row.id, host=host)
    routes.put(ctx, row.id)
    return list_domains(ctx, user, app)
