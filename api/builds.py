"""Builds; `latest` is a number too."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath, Number
from control import builds, values

router = APIRouter()

Which = Number | Literal["latest"]


def chosen(number: Which) -> int | None:
    return None if number == "latest" else number


@router.get("/apps/{app}/builds", response_model=list[schemas.Build])
def list_builds(ctx: Ctx, me: Me, app: InPath) -> list[values.Build]:
    """Newest first."""
    return builds.list_builds(ctx, me, app)


@router.get("/apps/{app}/builds/{number}", response_model=schemas.Build)
def info(ctx: Ctx, me: Me, app: InPath, number: Which) -> values.Build:
    return builds.info(ctx, me, app, chosen(number))


@router.post("/apps/{app}/builds/{number}/cancel", response_model=schemas.Job)
def cancel(ctx: Ctx, me: Me, app: InPath, number: Which) -> values.Job:
    """End a build and the deploy it is part of; `latest`: whatever is being done to the app."""
    return builds.cancel(ctx, me, app, chosen(number))


@router.get("/apps/{app}/builds/{number}/output", response_class=PlainTextResponse)
def output(ctx: Ctx, me: Me, app: InPath, number: Which) -> str:
    """What the build printed."""
    return builds.output(ctx, me, app, chosen(number))
