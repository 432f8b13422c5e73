"""SSH keys of the one who asks."""

from __future__ import annotations

from fastapi import APIRouter

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath
from control import accounts, values

router = APIRouter()


@router.get("/keys", response_model=list[schemas.Key])
def list_keys(ctx: Ctx, me: Me) -> list[values.Key]:
    return accounts.keys(ctx, me)


@router.post("/keys", response_model=schemas.Key, status_code=201)
def add(ctx: Ctx, me: Me, body: schemas.NewKey) -> values.Key:
    return accounts.add_key(ctx, me, body.name, body.public_key)


@router.delete("/keys/{name}", status_code=204)
def remove(ctx: Ctx, me: Me, name: InPath) -> None:
    accounts.remove_key(ctx, me, name)
