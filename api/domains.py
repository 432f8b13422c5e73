"""Hosts an app answers on besides its own."""

from __future__ import annotations

from fastapi import APIRouter

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath
from control import domains

router = APIRouter()


@router.get("/apps/{app}/domains")
def list_domains(ctx: Ctx, me: Me, app: InPath) -> list[str]:
    return domains.list_domains(ctx, me, app)


@router.post("/apps/{app}/domains", status_code=201)
def add(ctx: Ctx, me: Me, app: InPath, body: schemas.NewDomain) -> list[str]:
    return domains.add(ctx, me, app, body.host)


@router.delete("/apps/{app}/domains/{host}")
def remove(ctx: Ctx, me: Me, app: InPath, host: InPath) -> list[str]:
    return domains.remove(ctx, me, app, host)
