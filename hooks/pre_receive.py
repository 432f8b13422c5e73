"""May this push come in? Branch, sizes, free disk: the daemon knows."""

from __future__ import annotations

from hooks import relay


def main() -> int:
    return relay.run("pre-receive")
