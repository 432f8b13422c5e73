"""API tokens of the one who asks."""

from __future__ import annotations

from fastapi import APIRouter

from api import schemas
from api.auth import Ctx, Me
from api.schemas import InPath
from control import accounts, values

router = APIRouter()


@router.get("/tokens", response_model=list[schemas.Token])
def list_tokens(ctx: Ctx, me: Me) -> list[values.Token]:
    return accounts.tokens(ctx, me)


@router.post("/tokens", response_model=schemas.FreshToken, status_code=201)
def create(ctx: Ctx, me: Me, body: schemas.NewToken) -> values.Token:
    """Make a token; its secret is in this answer and nowhere else."""
    return accounts.create_token(ctx, me, body.name, body.days)


@router.delete("/tokens/{name}", status_code=204)
def revoke(ctx: Ctx, me: Me, name: InPath) -> None:
    accounts.revoke_token(ctx, me, name)
