"""Apps: create, list, rename, destroy."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from control import access, queue, routes, values
from control.context import Context
from control.events import audit
from core import names
from core.errors import Conflict, Unavailable
from core.sealing import new_key, seal
from models import App, Formation, Release, User
from repos import bare

SUBNET_PREFIX = 26


def shown(ctx: Context, session: Session, app: App) -> values.App:
    owner = session.get(User, app.owner_id)
    release = session.get(Release, app.release_id) if app.release_id else None
    return values.App(
        id=app.id,
        name=app.name,
        owner=owner.name if owner else "",
        branch=app.branch,
        url=routes.url(ctx, app),
        release=release.number if release else None,
        stopped=app.stopped,
        domains=tuple(domain.host for domain in app.domains),
        created_at=app.created_at,
        locked=app.locked,
        locked_by=app.locked_by,
    )


def create(ctx: Context, user: values.User, name: str) -> values.App:
    """A new app with an empty repository."""
    names.app(name)
    app_id = names.new_id()
    make_repository(ctx, app_id)
    try:
        with ctx.db.begin() as session:
            return shown(ctx, session, insert(ctx, session, user, name, app_id))
    except BaseException:
        bare.remove(ctx.repository(app_id))
        raise


def insert(ctx: Context, session: Session, user: values.User, name: str, app_id: str) -> App:
    """The App row, in the caller's transaction; Conflict when the name has gone meanwhile."""
    ctx.db.alone(session)  # two that look for a free network at once would find the same one
    app = App(id=app_id, name=name, owner_id=user.id, subnet=free_subnet(ctx, session), data_key=b"")
    app.data_key = seal(ctx.master_key, new_key(), app_id, "data-key")
    session.add(app)
    session.add(Formation(app_id=app_id, process="web", count=1))
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"the name {name!r} is not available", "Choose another name.") from error
    audit(session, "app.created", user=user.id, app=app_id, name=name)
    return app


def make_repository(ctx: Context, app_id: str) -> None:
    bare.create(ctx.repository(app_id), ctx.settings.git_user)


def free_subnet(ctx: Context, session: Session) -> str:
    """The first /26 no app has."""
    taken = set(session.scalars(select(App.subnet)))
    for subnet in ctx.settings.subnets.subnets(new_prefix=SUBNET_PREFIX):
        if str(subnet) not in taken:
            return str(subnet)
    raise Unavailable(
        "there is no network left for another app",
        "Destroy an app, or give PAAS_SUBNETS a larger range.",
        evidence=f"all {len(taken)} networks of {ctx.settings.subnets} are in use",
    )


def list_apps(ctx: Context, user: values.User) -> list[values.App]:
    """Every app `user` may see, by name."""
    with ctx.db.begin() as session:
        rows = session.scalars(select(App).where(App.deleting.is_(False)).order_by(App.name)).all()
        return [shown(ctx, session, app) for app in rows if access.may_see(user, app)]


def info(ctx: Context, user: values.User, app: str) -> values.App:
    with ctx.db.begin() as session:
        return shown(ctx, session, access.find(session, user, app))


def rename(ctx: Context, user: values.User, app: str, new: str) -> values.App:
    """Another name, another host name; the repository and what runs stay as they are."""
    names.app(new)
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        row.name = new
        try:
            session.flush()
        except IntegrityError as error:
            raise Conflict(f"the name {new!r} is not available", "Choose another name.") from error
        audit(session, "app.renamed", user=user.id, app=row.id, old=app, new=new)
        result = shown(ctx, session, row)
    routes.put(ctx, result.id)
    return result


def set_branch(ctx: Context, user: values.User, app: str, branch: str) -> values.App:
    """Deploy from another branch from now on."""
    names.branch(branch)
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        row.branch = branch
        audit(session, "app.branch", user=user.id, app=row.id, branch=branch)
        result = shown(ctx, session, row)
    bare.set_head(ctx.repository(result.id), branch)
    return result


def lock(ctx: Context, user: values.User, app: str, reason: str = "") -> values.App:
    """Take no more pushes, and tell whoever tries why; all else goes on as before."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        row.locked, row.locked_by = reason, user.name
        audit(session, "app.locked", user=user.id, app=row.id, reason=reason)
        return shown(ctx, session, row)


def unlock(ctx: Context, user: values.User, app: str) -> values.App:
    """Take pushes again; fine when it does already."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        row.locked = row.locked_by = None
        audit(session, "app.unlocked", user=user.id, app=row.id)
        return shown(ctx, session, row)


def destroy(ctx: Context, user: values.User, app: str) -> values.Job:
    """Take the app away: from this answer on nobody sees it; what it left goes in its turn."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        row.deleting = True
        job = queue.shown(session, queue.add(ctx, session, row, "destroy", user, name=row.name))
    queue.wake(ctx)
    return job
