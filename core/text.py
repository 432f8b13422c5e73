"""Text that others wrote, made fit for a terminal and a log."""

from __future__ import annotations

import re

LINE_LIMIT = 64 << 10
"""Of one line; the rest of a longer one is dropped."""
# ANSI sequences (CSI, OSC, two-byte escapes) and every control character but tab.
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)


def clean(line: str) -> str:
    """`line` without escape sequences and control characters, cut at the limit."""
    return CONTROL.sub("", line)[:LINE_LIMIT]
