"""How the platform itself is."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from control.context import Context
from core.errors import PlatformError


def check(ctx: Context) -> dict[str, str]:
    """`ok` or what is wrong, for each part and in all."""

    def database() -> None:
        with ctx.db.begin() as session:
            session.execute(text("SELECT 1"))

    parts: dict[str, Callable[[], object]] = {
        "database": database,
        "runtime": ctx.runtime.instances,
        "proxy": ctx.proxy.routes,
    }
    found = {name: told(part) for name, part in parts.items()}
    return {"status": "ok" if set(found.values()) == {"ok"} else "degraded", **found}


def told(part: Callable[[], object]) -> str:
    try:
        part()
    except PlatformError as error:
        return error.message
    return "ok"
