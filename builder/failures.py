"""The words for a build that made no image: cause, evidence, what to do."""

from __future__ import annotations

import re

from builder.progress import Progress
from core.errors import PlatformError, StepFailed, Unavailable

EXIT_CODE = re.compile(r"exit code: (\d+)")
NO_NETWORK = "failed to create endpoint"
NOT_PULLED = re.compile(
    r"failed to do request|pull access denied|not found: not found|failed to resolve|docker\.io/|i/o timeout"
)
OUT_OF_MEMORY = "137"
NO_SPACE = "no space left on device"


def failure(progress: Progress, error: str, stopped: str, timeout: float) -> PlatformError:
    """Why a build failed: told to stop (`stopped` is timeout or cancelled), or by the engine's own `error`."""
    evidence = progress.evidence() or error
    if stopped == "cancelled":
        return StepFailed("the build was cancelled", "Push again to build it.", reason="cancelled")
    if stopped == "timeout":
        return timed_out(timeout, evidence)
    if NO_SPACE in f"{error}\n{evidence}".lower():
        return Unavailable(
            "the engine's disk is full", "Ask the operator to free some space; push again then.", evidence=evidence
        )
    match = EXIT_CODE.search(error)
    if match:
        return step_failed(progress.title(), match[1], evidence)
    return engine_failed(progress, error, evidence)


def timed_out(timeout: float, evidence: str) -> StepFailed:
    return StepFailed(
        f"the build took longer than {timeout:g} seconds and was stopped",
        "Make it shorter, or ask the operator to raise PAAS_BUILD_TIMEOUT.",
        evidence=evidence,
        reason="timeout",
    )


def step_failed(title: str, code: str, evidence: str) -> StepFailed:
    if code == OUT_OF_MEMORY:
        return StepFailed(
            f"{title} was killed at the memory limit (exit code {code})",
            "Use less memory, or ask the operator to raise PAAS_BUILD_MEMORY.",
            evidence=evidence,
            reason="oom",
        )
    hint = "Fix what the lines above say and push again."
    return StepFailed(f"{title} failed (exit code {code})", hint, evidence=evidence)


def engine_failed(progress: Progress, error: str, evidence: str) -> PlatformError:
    """The engine could not do a step, or did not understand it."""
    if NO_NETWORK in error:
        return Unavailable(
            "the engine could not give the build a network",
            "Nothing is wrong with the app: ask the operator to look at the Docker engine.",
            evidence=error[-300:],
        )
    if NOT_PULLED.search(error):
        image = progress.failed.name.rpartition(" for ")[2] if progress.failed else "of the Dockerfile"
        return StepFailed(
            f"the base image {image} cannot be pulled",
            "Check its name in FROM; this machine must have it, or reach its registry without signing in.",
            evidence=evidence,
        )
    return StepFailed(f"{progress.title()} failed", "Fix what the lines above say and push again.", evidence=evidence)
