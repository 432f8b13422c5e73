"""The refs have moved: hand the repository to the builder and print what comes back until the verdict."""

from __future__ import annotations

from hooks import relay


def main() -> int:
    return relay.run("post-receive")
