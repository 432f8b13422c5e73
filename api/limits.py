"""Limits: what an instance of each process type may use."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath
from control import limits, values

router = APIRouter()


@router.get("/apps/{app}/limits", response_model=list[schemas.Limits])
def show(ctx: Ctx, me: Me, app: InPath) -> list[values.Limits]:
    return limits.show(ctx, me, app)


@router.patch(
    "/apps/{app}/limits",
    response_model=schemas.Job,
    status_code=202,
    responses={204: {"description": "Nothing to restart."}},
)
def change(ctx: Ctx, me: Me, app: InPath, body: schemas.LimitsChange) -> values.Job | Response:
    """Set and unset (null); the restart it makes is a job."""
    changes = body.model_dump(exclude_unset=True, exclude={"process"})
    job = limits.change(ctx, me, app, body.process, changes)
    return job if job is not None else Response(status_code=204)
