"""Routes: computed from what is wanted and what is up, never stored."""

from __future__ import annotations

from collections.abc import Sequence

from control import wanted
from control.context import Context
from control.wanted import ROUTED, Wanted
from core.states import InstanceState
from models import App
from router.base import Route, Target
from runtime.base import Instance


def url(ctx: Context, app: App) -> str:
    """Where people find the app: what we print at the end of a push."""
    port = ctx.settings.http_port
    return f"http://{app.name}.{ctx.settings.domain}" + (f":{port}" if port != 80 else "")


def put(ctx: Context, app_id: str) -> Route | None:
    """Make the proxy say what the app's rows and instances say now; None when the app is gone."""
    with ctx.turns.route_lock(app_id):
        with ctx.db.begin() as session:
            app = session.get(App, app_id)
            want = wanted.of(ctx, session, app) if app and not app.deleting else None
        if want is None:
            ctx.proxy.delete(app_id)
            return None
        return offer(ctx, want, ctx.runtime.instances(app_id))


def offer(ctx: Context, want: Wanted, instances: Sequence[Instance]) -> Route:
    """Put the route for `want` unless it is in effect already; the caller holds the app's route lock."""
    known = ctx.proxy.routes()
    route = compute(want, instances, known)
    if route not in known:
        ctx.proxy.put(route)
    return route


def compute(want: Wanted, instances: Sequence[Instance], known: Sequence[Route]) -> Route:
    """Wanted instances that are up serve; others that the app's route in `known` has finish what they have."""
    targets = {one for route in known if route.app == want.app for one in (*route.targets, *route.draining)}
    up = [one for one in instances if one.process == ROUTED and one.address and one.state is InstanceState.UP]
    serving = {wanted.target(one) for one in up if want.covers(one)}
    others = {wanted.target(one) for one in up} - serving
    return Route(
        app=want.app,
        hosts=want.hosts,
        targets=tuple(sorted(serving)),
        draining=tuple(sorted(others & targets)),
    )


def sessions(ctx: Context, app_id: str, targets: Sequence[Target]) -> int:
    """Requests and streams that these targets still have."""
    names = {target.name for target in targets}
    return sum(one.sessions for one in ctx.proxy.stats() if one.app == app_id and one.target in names)
