"""Amounts of memory and disk, as people write and read them."""

from __future__ import annotations

import re

from core.errors import Invalid

WRITTEN = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)\s*([kmgt]?)i?b?", re.I)
POWERS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def bytes_of(text: str) -> int:
    """`512m`, `1g`, `256MB`, `1.5 GiB` or plain bytes, as bytes."""
    found = WRITTEN.fullmatch(text.strip())
    if found is None:
        raise Invalid(f"{text!r} is not an amount of memory", "Try 512m or 1g.")
    return int(float(found[1]) * (1 << POWERS[found[2].lower()]))


def spoken(size: int) -> str:
    """`512 MB`, `1 GB`, `1.5 GB`: the largest unit it is at least one of."""
    for unit, power in (("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"
