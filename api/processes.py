"""Process types: how many run, restart, stop, start."""

from __future__ import annotations

from fastapi import APIRouter

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath
from control import processes, values

router = APIRouter()


@router.get("/apps/{app}/processes", response_model=list[schemas.Process])
def list_processes(ctx: Ctx, me: Me, app: InPath) -> list[values.Process]:
    return processes.list_processes(ctx, me, app)


@router.patch("/apps/{app}/processes", response_model=schemas.Job, status_code=202)
def scale(ctx: Ctx, me: Me, app: InPath, body: schemas.Scale) -> values.Job:
    """How many of each named process type shall run."""
    return processes.scale(ctx, me, app, dict(body.counts))


@router.post("/apps/{app}/processes/restart", response_model=schemas.Job, status_code=202)
def restart(ctx: Ctx, me: Me, app: InPath) -> values.Job:
    return processes.restart(ctx, me, app)


@router.post("/apps/{app}/processes/stop", response_model=schemas.Job, status_code=202)
def stop(ctx: Ctx, me: Me, app: InPath) -> values.Job:
    return processes.stop(ctx, me, app)


@router.post("/apps/{app}/processes/start", response_model=schemas.Job, status_code=202)
def start(ctx: Ctx, me: Me, app: InPath) -> values.Job:
    return processes.start(ctx, me, app)
