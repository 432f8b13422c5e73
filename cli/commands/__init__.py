"""One file a topic; importing this package registers them all."""

from cli.commands import (
    account,
    apps,
    builds,
    config,
    domains,
    help,
    keys,
    limits,
    local,
    logs,
    processes,
    releases,
    run,
    tokens,
)

__all__ = [
    "account",
    "apps",
    "builds",
    "config",
    "domains",
    "help",
    "keys",
    "limits",
    "local",
    "logs",
    "processes",
    "releases",
    "run",
    "tokens",
]
