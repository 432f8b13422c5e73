"""Apps: create, list, look, rename, choose the deploy branch, lock, redeploy, destroy."""

from __future__ import annotations

from fastapi import APIRouter

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath
from control import apps, deployments, values

router = APIRouter()


@router.get("/apps", response_model=list[schemas.App])
def list_apps(ctx: Ctx, me: Me) -> list[values.App]:
    """The apps one may see."""
    return apps.list_apps(ctx, me)


@router.post("/apps", response_model=schemas.App, status_code=201)
def create(ctx: Ctx, me: Me, body: schemas.Named) -> values.App:
    """Make an empty app."""
    return apps.create(ctx, me, body.name)


@router.get("/apps/{app}", response_model=schemas.App)
def info(ctx: Ctx, me: Me, app: InPath) -> values.App:
    return apps.info(ctx, me, app)


@router.patch("/apps/{app}", response_model=schemas.App)
def change(ctx: Ctx, me: Me, app: InPath, body: schemas.AppChange) -> values.App:
    """Set the deploy branch, the name, or both."""
    if body.branch is not None:
        apps.set_branch(ctx, me, app, body.branch)
    if body.name is not None:
        return apps.rename(ctx, me, app, body.name)
    return apps.info(ctx, me, app)


@router.delete("/apps/{app}", response_model=schemas.Job, status_code=202)
def destroy(ctx: Ctx, me: Me, app: InPath) -> values.Job:
    """Remove the app and all that belongs to it."""
    return apps.destroy(ctx, me, app)


@router.put("/apps/{app}/lock", response_model=schemas.App)
def lock(ctx: Ctx, me: Me, app: InPath, body: schemas.Lock) -> values.App:
    """Take no pushes, and say why to whoever tries."""
    return apps.lock(ctx, me, app, body.reason)


@router.delete("/apps/{app}/lock", response_model=schemas.App)
def unlock(ctx: Ctx, me: Me, app: InPath) -> values.App:
    return apps.unlock(ctx, me, app)


@router.post("/apps/{app}/redeploy", response_model=schemas.Job, status_code=202)
def redeploy(ctx: Ctx, me: Me, app: InPath) -> values.Job:
    """Build and deploy the live commit again."""
    return deployments.redeploy(ctx, me, app)
