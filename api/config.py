"""Config vars."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath
from control import configvars, values

router = APIRouter()


@router.get("/apps/{app}/config")
def show(ctx: Ctx, me: Me, app: InPath) -> dict[str, str]:
    return configvars.show(ctx, me, app)


@router.patch(
    "/apps/{app}/config",
    response_model=schemas.Job,
    status_code=202,
    responses={204: {"description": "Nothing to restart."}},
)
def change(ctx: Ctx, me: Me, app: InPath, body: schemas.ConfigChange) -> values.Job | Response:
    """Set and unset (null) in one go; the release and restart it makes is a job."""
    job = configvars.change(ctx, me, app, dict(body.values), restart=body.restart)
    return job if job is not None else Response(status_code=204)
