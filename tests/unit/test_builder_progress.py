"""BuildKit's progress on the wire, and the lines made of it."""

from __future__ import annotations

import base64

import pytest

from builder.failures import failure
from builder.progress import LINE_LIMIT, UNFINISHED_LIMIT, Progress, clean
from builder.trace import Output, Status, Step, decode
from core.errors import StepFailed, Unavailable

BEGUN = Step(
    "sha256:1", '[build 3/3] RUN --mount=type=cache,id=x,target=/y  echo "-----> Installing" && x', False, False, ""
)


def wire(**fields: object) -> str:
    return base64.b64encode(Status(**fields).SerializeToString()).decode()


def followed(*events: Step | Output, name_steps: bool = False) -> tuple[list[str], Progress]:
    said: list[str] = []
    progress = Progress(said.append, name_steps=name_steps)
    for event in events:
        progress.take(event)
    return said, progress


def test_steps_and_output_are_read_from_the_wire() -> None:
    vertexes = [{"digest": "sha256:1", "name": "RUN x", "cached": True, "completed": {"seconds": 5}}]
    events = list(decode(wire(vertexes=vertexes, logs=[{"vertex": "sha256:1", "msg": b"hello\n"}])))
    assert events == [Step("sha256:1", "RUN x", True, True, ""), Output("sha256:1", b"hello\n")]


def test_fields_nobody_reads_are_skipped() -> None:
    # Field 2 of the message (statuses), as BuildKit sends it among the others.
    unread = b"\x12\x03\x0a\x01x"
    sent = unread + Status(logs=[{"vertex": "a", "msg": b"b"}]).SerializeToString()
    assert list(decode(base64.b64encode(sent).decode())) == [Output("a", b"b")]


@pytest.mark.parametrize("aux", ["not base64!", base64.b64encode(b"\xff\xff\xff").decode()])
def test_what_is_no_progress_is_told_as_such(aux: str) -> None:
    with pytest.raises(Unavailable):
        list(decode(aux))


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"\x1b[31mred\x1b[0m text\r", "red text"),
        (b" 10%\r 50%\r100% done", "100% done"),
        (b"\x1b]0;title\x07after", "after"),
        (b"bell\x07 and null\x00", "bell and null"),
        ("naïve ✓".encode(), "naïve ✓"),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
        (b"\xc2\x9b31m", "31m"),
        (b"x" * 5_000, "x" * LINE_LIMIT),
    ],
)
def test_lines_are_printable_and_bounded(raw: bytes, line: str) -> None:
    assert clean(raw) == line


def test_output_is_said_line_by_line_as_it_comes() -> None:
    said, _ = followed(BEGUN, Output("sha256:1", b"one\ntw"), Output("sha256:1", b"o\nthr"))
    assert said == ["       one", "       two"]
    said, _ = followed(BEGUN, Output("sha256:1", b"three"), Step("sha256:1", BEGUN.name, False, True, ""))
    assert said == ["       three"]


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    said, progress = followed(BEGUN, *[Output("sha256:1", b"x" * 4_096)] * 10)
    assert said
    assert all(len(rest) <= UNFINISHED_LIMIT for rest in progress.unfinished.values())


def test_our_own_steps_announce_themselves_and_nobody_elses_can() -> None:
    output = Output("sha256:1", b"-----> Installing\n")
    assert followed(BEGUN, output)[0] == ["-----> Installing"]
    own = Step("sha256:1", "[2/3] RUN make", False, False, "")
    assert followed(own, output, name_steps=True)[0] == ["       [2/3] RUN make", "       -----> Installing"]


def test_steps_of_a_repositorys_dockerfile_are_named_once_and_the_engines_own_are_not() -> None:
    inner = Step("sha256:0", "[internal] load build definition", False, False, "")
    step = Step("sha256:1", "[1/2] FROM x", True, False, "")
    said, _ = followed(inner, step, step, Step("sha256:2", "exporting to image", False, False, ""), name_steps=True)
    assert said == ["       [1/2] FROM x (cached)"]


def failed(error: str, *, stopped: str = "") -> StepFailed | Unavailable:
    lines = b"".join(b"line %d\n" % number for number in range(40))
    ended = Step("sha256:1", BEGUN.name, False, True, error)
    _, progress = followed(BEGUN, Output("sha256:1", lines), ended)
    told = failure(progress, error, stopped, 900)
    assert isinstance(told, StepFailed | Unavailable)
    return told


def test_a_failed_step_is_told_with_its_name_its_exit_code_and_its_last_lines() -> None:
    told = failed("executor failed running [x]: exit code: 1")
    assert isinstance(told, StepFailed)
    assert (told.message, told.reason) == ("Installing failed (exit code 1)", "step")
    assert told.evidence.splitlines()[-1] == "line 39"
    assert "line 0\n" not in told.evidence
    assert told.hint


@pytest.mark.parametrize(
    ("error", "stopped", "reason", "word"),
    [
        ("x: exit code: 137", "", "oom", "memory limit"),
        ("context canceled", "timeout", "timeout", "longer than 900 seconds"),
        ("context canceled", "cancelled", "cancelled", "cancelled"),
        ("failed to do request: Head v2/x/manifests/1: dial tcp: i/o timeout", "", "step", "the base image"),
        ("pull access denied, repository does not exist", "", "step", "the base image"),
    ],
)
def test_every_other_ending_has_its_own_words(error: str, stopped: str, reason: str, word: str) -> None:
    told = failed(error, stopped=stopped)
    assert isinstance(told, StepFailed)
    assert told.reason == reason
    assert word in told.message


def test_an_engine_without_a_network_is_not_the_apps_fault() -> None:
    told = failed("executor failed running [x]: failed to create endpoint 1 on network bridge: no such interface")
    assert isinstance(told, Unavailable)


def test_what_failed_first_is_the_cause_not_what_it_took_along() -> None:
    cancelled = Step("sha256:2", "[2/2] RUN other", False, True, "context canceled")
    cause = Step("sha256:1", BEGUN.name, False, True, "exit code: 2")
    for events in ([cancelled, cause], [cause, cancelled]):
        assert followed(*events)[1].failed == cause
