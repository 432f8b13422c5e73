"""Who one is, and what one talks to."""

from __future__ import annotations

from fastapi import APIRouter

from api import schemas
from api.auth import Ctx, Me
from control import values
from core.version import VERSION

router = APIRouter()


@router.get("/account", response_model=schemas.Account)
def account(me: Me) -> values.User:
    """The user the token belongs to."""
    return me


@router.get("/version")
def version(ctx: Ctx, me: Me) -> schemas.Version:
    """This server's version, and where its SSH door is."""
    return schemas.Version(version=VERSION, domain=ctx.settings.domain, ssh_port=ctx.settings.ssh_port)
