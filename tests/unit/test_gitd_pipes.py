"""Pipes to and from git lose nothing, whoever is slow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from gitd.pipes import Inflow, Outflow

DATA = os.urandom(3 << 20)


@pytest.fixture
async def pipe() -> AsyncIterator[tuple[int, int]]:
    yield os.pipe()


async def test_everything_written_arrives_and_a_full_pipe_says_so(pipe: tuple[int, int]) -> None:
    told: list[str] = []
    got = bytearray()
    outflow = Outflow(pipe[1], lambda: told.append("full"), lambda: told.append("drained"))
    for start in range(0, len(DATA), 40_000):
        outflow.write(DATA[start : start + 40_000])
    outflow.end()
    inflow = Inflow(pipe[0], got.extend)
    await asyncio.wait_for(inflow.ended.wait(), 10)
    assert bytes(got) == DATA and told[0] == "full"


async def test_a_paused_reader_gets_nothing_until_it_resumes(pipe: tuple[int, int]) -> None:
    got = bytearray()
    inflow = Inflow(pipe[0], got.extend)
    inflow.pause()
    os.write(pipe[1], b"hello")
    os.close(pipe[1])
    await asyncio.sleep(0)
    assert not got
    inflow.resume()
    await asyncio.wait_for(inflow.ended.wait(), 10)
    assert got == b"hello"


async def test_pausing_inside_a_delivery_holds_the_rest_back(pipe: tuple[int, int]) -> None:
    pieces: list[bytes] = []

    def deliver(data: bytes) -> None:
        pieces.append(data)
        inflow.pause()
        asyncio.get_running_loop().call_soon(inflow.resume)

    inflow = Inflow(pipe[0], deliver)
    outflow = Outflow(pipe[1], lambda: None, lambda: None)
    outflow.write(DATA)
    outflow.end()
    await asyncio.wait_for(inflow.ended.wait(), 10)
    assert b"".join(pieces) == DATA


async def test_a_reader_that_goes_away_is_no_error(pipe: tuple[int, int]) -> None:
    told: list[str] = []
    outflow = Outflow(pipe[1], lambda: told.append("full"), lambda: told.append("drained"))
    outflow.write(DATA)
    async with asyncio.timeout(10):
        while told != ["full"]:
            await asyncio.sleep(0.001)
        os.close(pipe[0])
        while told != ["full", "drained"]:
            await asyncio.sleep(0.001)
    outflow.write(b"more")
    outflow.end()
