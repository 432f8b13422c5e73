"""The terminal at the end of a channel: lines, keys, line ends."""

from __future__ import annotations

import asyncio

from gitd.hold import MOST_HELD, Hold
from gitd.keyboard import Keyboard
from gitd.terminal import ChannelTerminal


class Channel:
    """Counts what flow control asks for."""

    def __init__(self) -> None:
        self.paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Desk:
    """A terminal whose screen is a buffer."""

    def __init__(self, size: tuple[int, int] | None = (80, 24)) -> None:
        self.out, self.err = bytearray(), bytearray()
        self.hold = Hold(Channel())
        self.terminal = ChannelTerminal(self.hold, self.to_out, self.to_err, self.out.extend, size)

    async def to_out(self, data: bytes) -> None:
        self.out += data

    async def to_err(self, data: bytes) -> None:
        self.err += data


async def test_lines_end_as_a_terminal_wants_them_only_on_a_terminal() -> None:
    desk, pipe = Desk(), Desk(size=None)
    for each in (desk, pipe):
        await each.terminal.stdout.write(b"a\nb\r\n")
    assert desk.out == b"a\r\nb\r\n" and pipe.out == b"a\nb\r\n"


async def test_raw_output_is_left_as_it_is() -> None:
    desk = Desk()
    with desk.terminal.raw():
        await desk.terminal.stdout.write(b"\x1b[1B\n")
    assert desk.out == b"\x1b[1B\n"


async def test_stderr_is_a_stream_of_its_own_without_a_terminal() -> None:
    desk, pipe = Desk(), Desk(size=None)
    for each in (desk, pipe):
        await each.terminal.stderr.write(b"no")
    assert (bytes(desk.out), bytes(pipe.out), bytes(pipe.err)) == (b"no", b"", b"no")


async def test_a_typed_line_is_echoed_and_delivered_whole() -> None:
    desk = Desk()
    desk.hold.write("hällx\x7fo\r".encode())
    assert await desk.terminal.stdin.read() == "hällo\n".encode()
    assert desk.out == "hällx\b \bo\r\n".encode()


async def test_erasing_takes_back_whole_characters_and_stops_at_the_start() -> None:
    desk = Desk()
    desk.hold.write("äö\x7f\x7f\x7fb\r".encode())
    assert await desk.terminal.stdin.read() == b"b\n"


async def test_ctrl_c_cancels_and_is_no_input() -> None:
    desk = Desk()
    desk.hold.write(b"abc\x03d\r")
    assert desk.terminal.cancelled.is_set()
    assert await desk.terminal.stdin.read() == b"d\n"


async def test_ctrl_c_is_a_byte_while_raw() -> None:
    desk = Desk()
    with desk.terminal.raw():
        desk.hold.write(b"\x03\x04x")
        assert await desk.terminal.stdin.read() == b"\x03\x04x"
    assert not desk.terminal.cancelled.is_set() and desk.out == b""


async def test_ctrl_d_ends_the_input_on_an_empty_line() -> None:
    desk = Desk()
    desk.hold.write(b"ab\x04\x04")
    assert await desk.terminal.stdin.read() == b"ab"
    assert await desk.terminal.stdin.read() == b""


async def test_a_reader_waits_for_keys() -> None:
    keyboard = Keyboard(lambda echo: None, lambda: None)
    reading = asyncio.ensure_future(keyboard.read())
    await asyncio.sleep(0)
    assert not reading.done()
    keyboard.write(b"x\n")
    assert await reading == b"x\n"


async def test_a_new_size_is_told() -> None:
    desk = Desk()
    desk.terminal.resize(120, 50)
    assert desk.terminal.size == (120, 50) and desk.terminal.resized.is_set()


async def test_a_client_waits_while_much_is_held_and_loses_nothing() -> None:
    channel = Channel()
    hold = Hold(channel)
    hold.write(b"x" * (MOST_HELD + 1))
    assert channel.paused
    hold.end()
    data = b""
    while piece := await hold.read(100_000):
        data += piece
    await asyncio.sleep(0)
    assert len(data) == MOST_HELD + 1 and not channel.paused


async def test_what_was_held_is_poured_in_order_with_its_end() -> None:
    taken: list[bytes] = []

    class Taker:
        def write(self, data: bytes) -> None:
            taken.append(data)

        def end(self) -> None:
            taken.append(b"end")

    hold = Hold(Channel())
    hold.write(b"one")
    hold.pour(Taker())
    hold.write(b"two")
    hold.end()
    assert taken == [b"one", b"two", b"end"]
