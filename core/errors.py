"""Everything that can go wrong, as one tree; adapters translate third-party errors into it.

PlatformError(message, hint)                 API   exit
├─ Invalid        name, Procfile, config     422   2
├─ Denied         who may not do what        403   3
├─ NotFound       also what you may not see  404   4
├─ Conflict       exists; in flight          409   5
│  └─ Cancelled   somebody ended it          409   6
├─ BuildFailed                               422   20
│  ├─ NoBuildpack                            422   21
│  └─ StepFailed                             422   22
├─ DeployFailed                              422   30
│  ├─ ReleaseCommandFailed                   422   31
│  └─ Unhealthy                              422   32
└─ Unavailable    docker, proxy, disk        503   40
"""

from __future__ import annotations


class PlatformError(Exception):
    """A failure told in words: `message` is the cause, `evidence` what was seen, `hint` what to do."""

    code = "error"
    status = 500
    exit_code = 1

    def __init__(self, message: str, hint: str = "", *, evidence: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.evidence = evidence
        self.hint = hint

    def lines(self) -> list[str]:
        """What a person reads: cause, evidence, what to do; empty parts left out."""
        text = "\n".join(part for part in (self.message, self.evidence, self.hint) if part)
        return text.splitlines()


class Invalid(PlatformError):
    code, status, exit_code = "invalid", 422, 2


class Denied(PlatformError):
    code, status, exit_code = "denied", 403, 3


class NotFound(PlatformError):
    code, status, exit_code = "not_found", 404, 4


class Conflict(PlatformError):
    code, status, exit_code = "conflict", 409, 5


class Cancelled(Conflict):
    code, exit_code = "cancelled", 6


class BuildFailed(PlatformError):
    code, status, exit_code = "build_failed", 422, 20


class NoBuildpack(BuildFailed):
    code, exit_code = "no_buildpack", 21


class StepFailed(BuildFailed):
    """A build step ended badly; `reason` is step, timeout or oom."""

    code, exit_code = "step_failed", 22

    def __init__(self, message: str, hint: str = "", *, evidence: str = "", reason: str = "step") -> None:
        super().__init__(message, hint, evidence=evidence)
        self.reason = reason


class DeployFailed(PlatformError):
    code, status, exit_code = "deploy_failed", 422, 30


class ReleaseCommandFailed(DeployFailed):
    code, exit_code = "release_command_failed", 31


class Unhealthy(DeployFailed):
    code, exit_code = "unhealthy", 32


class Unavailable(PlatformError):
    code, status, exit_code = "unavailable", 503, 40


def tree() -> list[type[PlatformError]]:
    """Every class of the tree above, for the doors' translations; an adapter's own subclass counts as its parent."""

    def below(kind: type[PlatformError]) -> list[type[PlatformError]]:
        ours = [child for child in kind.__subclasses__() if child.__module__ == __name__]
        return [kind] + [leaf for child in ours for leaf in below(child)]

    return below(PlatformError)
