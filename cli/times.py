"""Moments as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def minute(moment: str | None) -> str:
    """`2026-01-31 12:00`, UTC, from the API's ISO time."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else ""


def second(epoch: float) -> str:
    """`2026-01-31T12:00:05+00:00`, as log lines begin."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")


def since(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M") if epoch else ""
