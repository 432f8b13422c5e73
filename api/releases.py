"""Releases, and going back to one."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath, Number
from control import releases, values

router = APIRouter()


@router.get("/apps/{app}/releases", response_model=list[schemas.Release])
def list_releases(ctx: Ctx, me: Me, app: InPath) -> list[values.Release]:
    """Newest first."""
    return releases.list_releases(ctx, me, app)


@router.get("/apps/{app}/releases/{number}", response_model=schemas.Release)
def info(ctx: Ctx, me: Me, app: InPath, number: Number) -> values.Release:
    return releases.info(ctx, me, app, number)


@router.get("/apps/{app}/releases/{number}/output", response_class=PlainTextResponse)
def output(ctx: Ctx, me: Me, app: InPath, number: Number) -> str:
    """What was printed when it was made, its release command included."""
    return releases.output(ctx, me, app, number)


@router.post("/apps/{app}/rollback", response_model=schemas.Job, status_code=202)
def roll_back(ctx: Ctx, me: Me, app: InPath, body: schemas.Rollback) -> values.Job:
    """A new release from an old one's image and config."""
    return releases.roll_back(ctx, me, app, body.release)
