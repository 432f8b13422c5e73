"""The life of a build, a deployment and a job: one table of arrows each."""

from __future__ import annotations

from enum import StrEnum


class BuildState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeploymentState(StrEnum):
    PENDING = "pending"
    PROVISIONING = "provisioning"
    DEPLOYING = "deploying"
    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"
    FAILED = "failed"


class JobState(StrEnum):
    """A place in an app's line of work."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class InstanceState(StrEnum):
    """Asked of the runtime, never stored."""

    STARTING = "starting"
    UP = "up"
    CRASHED = "crashed"
    GONE = "gone"


B, D, J = BuildState, DeploymentState, JobState

# By machine first: members of different machines with the same value are equal, and would be one key.
ARROWS: dict[type[StrEnum], dict[StrEnum, frozenset[StrEnum]]] = {
    B: {
        B.PENDING: frozenset({B.RUNNING, B.FAILED, B.CANCELLED}),
        B.RUNNING: frozenset({B.SUCCEEDED, B.FAILED, B.CANCELLED}),
    },
    D: {
        D.PENDING: frozenset({D.PROVISIONING, D.FAILED}),
        D.PROVISIONING: frozenset({D.DEPLOYING, D.FAILED}),
        D.DEPLOYING: frozenset({D.RUNNING, D.FAILED}),
        D.RUNNING: frozenset({D.STOPPED}),
        D.STOPPED: frozenset({D.DELETED}),
        D.FAILED: frozenset({D.DELETED}),
    },
    J: {
        J.PENDING: frozenset({J.RUNNING, J.CANCELLED, J.FAILED}),
        J.RUNNING: frozenset({J.SUCCEEDED, J.FAILED, J.CANCELLED, J.PENDING}),  # PENDING: its holder died
    },
}

IN_FLIGHT = (D.PENDING, D.PROVISIONING, D.DEPLOYING)


def allowed(old: StrEnum, new: StrEnum) -> bool:
    """Whether an arrow leads from `old` to `new` of the same machine."""
    return type(old) is type(new) and new in ARROWS[type(old)].get(old, ())
