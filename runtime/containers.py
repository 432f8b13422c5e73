"""A container's hardened profile, and an instance read back from what the engine says of a container."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any

from core.states import InstanceState
from runtime import marks
from runtime.base import Instance, Limits, OneOff, ProcessSpec
from runtime.marks import Marks

# Images that name no user, or root, run as this one: nobody is root in a container of ours.
DEFAULT_USER = "10001:10001"
NANO = 10**9
# Enough for thousands of connections, and below what engines in confined machines may grant.
OPEN_FILES = 16384
STATES = {
    "created": InstanceState.STARTING,
    "running": InstanceState.UP,
    "paused": InstanceState.UP,
    "restarting": InstanceState.CRASHED,
    "exited": InstanceState.CRASHED,
    "dead": InstanceState.CRASHED,
    "removing": InstanceState.GONE,
}


def user(named: str) -> str:
    """Who runs in a container of an image whose USER is `named`."""
    return DEFAULT_USER if named.partition(":")[0] in ("", "0", "root") else named


def process(spec: ProcessSpec, mark: Marks, number: int, address: IPv4Address, image_user: str) -> dict[str, Any]:
    """The engine's description of one instance of `spec`."""
    env = {**spec.env, "PORT": str(spec.port)} if spec.port else dict(spec.env)
    labels = mark.labels(
        spec.app,
        process=spec.process,
        release=spec.release,
        generation=spec.generation,
        number=number,
        grace=spec.stop_grace,
        port=spec.port or "",
    )
    body = container(spec.image, spec.command, env, image_user, labels, profile(spec.limits, mark.network(spec.app)))
    body["HostConfig"] |= {
        "ReadonlyRootfs": spec.read_only,
        "RestartPolicy": {"Name": "unless-stopped"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    }
    endpoint = {"IPAMConfig": {"IPv4Address": str(address)}}
    body["NetworkingConfig"] = {"EndpointsConfig": {mark.network(spec.app): endpoint}}
    return body | {"StopTimeout": spec.stop_grace}


def one_off(wanted: OneOff, mark: Marks, image_user: str, server: str) -> dict[str, Any]:
    """The engine's description of a container for `wanted`, begun by `server`; it removes itself at its end."""
    kind = {"process": wanted.process} if wanted.process else {}
    labels = mark.labels(wanted.app, release=wanted.release, oneoff=server, **kind)
    host = profile(wanted.limits, mark.network(wanted.app))
    body = container(wanted.image, wanted.command, wanted.env, image_user, labels, host)
    # Its output goes to whoever is attached; the engine keeps none of it.
    body["HostConfig"] |= {"AutoRemove": True, "LogConfig": {"Type": "none"}}
    streams = {f"Attach{name}": True for name in ("Stdin", "Stdout", "Stderr")}
    return body | streams | {"OpenStdin": True, "StdinOnce": True, "Tty": wanted.tty}


def container(
    image: str,
    command: tuple[str, ...],
    env: Mapping[str, str],
    image_user: str,
    labels: dict[str, str],
    host: dict[str, Any],
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Image": image,
        "User": user(image_user),
        "Env": [f"{key}={value}" for key, value in env.items()],
        "Labels": labels,
        # Our own probe decides; an image's HEALTHCHECK would start a process every few seconds.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    # A given command is run as it stands: as the entry point, so that the image's own does not come before it.
    return body | ({"Entrypoint": list(command)} if command else {})


def profile(limits: Limits, network: str) -> dict[str, Any]:
    """The hardened HostConfig every container of ours has."""
    return {
        "NetworkMode": network,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": limits.pids,
        "Memory": limits.memory,
        "MemorySwap": limits.memory,
        "NanoCpus": int(limits.cpus * NANO),
        "Ulimits": [
            {"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "Init": True,
        "IpcMode": "private",
        # Counts as the instance's memory, so half of it is as much as can be of use.
        "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={limits.memory // 2}"},
    }


def instance(seen: Mapping[str, Any]) -> Instance:
    """The instance that an inspected container is."""
    labels, state = seen["Config"]["Labels"], seen["State"]
    status = STATES[state["Status"]]
    ended = status is InstanceState.CRASHED
    return Instance(
        id=seen["Id"],
        app=labels[marks.APP],
        process=labels[marks.PROCESS],
        release=int(labels[marks.RELEASE]),
        number=int(labels[marks.NUMBER]),
        generation=int(labels[marks.GENERATION]),
        address=address(seen),
        port=int(labels[marks.PORT]) if labels[marks.PORT] else None,
        state=status,
        exit_code=state["ExitCode"] if ended else None,
        restarts=seen["RestartCount"],
        oom=ended and state["OOMKilled"],
        started_at=epoch(state["StartedAt"]),
        memory=seen["HostConfig"]["Memory"],
    )


def gone(known: Instance) -> Instance:
    return dataclasses.replace(known, state=InstanceState.GONE)


def address(seen: Mapping[str, Any]) -> IPv4Address | None:
    """The address fixed when the container (listed or inspected) was created."""
    for endpoint in seen["NetworkSettings"]["Networks"].values():
        fixed = (endpoint.get("IPAMConfig") or {}).get("IPv4Address")
        if fixed:
            return IPv4Address(fixed)
    return None


def epoch(stamp: str) -> float:
    """Seconds since the epoch of the engine's RFC 3339 time with up to nine decimals; 0 for never."""
    if stamp.startswith("0001-"):
        return 0.0
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def ended(now: Instance, events: bytes) -> Instance:
    """`now` with exit code and cause of its last end, out of the engine's events (one JSON text a line)."""
    seen = [json.loads(line) for line in events.splitlines()]
    ends = [index for index, event in enumerate(seen) if event["Action"] == "die"]
    if not ends:
        return now
    # What came before the end before that is the story of another life.
    life = seen[ends[-2] + 1 :] if len(ends) > 1 else seen
    oom = any(event["Action"] == "oom" for event in life)
    return dataclasses.replace(now, exit_code=int(seen[ends[-1]]["Actor"]["Attributes"]["exitCode"]), oom=oom)
