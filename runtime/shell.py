"""One-offs of the memory runtime: the few words of a shell that tests of one-offs need, and no process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from runtime.base import KILLED, OneOff

NOT_FOUND = 127


class MemorySession:
    """Runs `sh -c 'echo words; echo words >&2; cat; sleep; exit 3'`, in any order; notes in `ran` that it did."""

    def __init__(self, wanted: OneOff, ran: list[OneOff]) -> None:
        self.wanted = wanted
        self.size = wanted.size
        self.ran = ran
        self.input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.code: int | None = None

    async def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        self.ran.append(self.wanted)
        code = 0
        for step in steps(self.wanted.command):
            word, _, rest = step.partition(" ")
            if word == "exit":
                code = int(rest)
                break
            if word == "sleep":
                await asyncio.sleep(float(rest))
            elif word == "echo":
                text = rest.removesuffix(" >&2")
                yield (1 if text == rest else 2), f"{text}\n".encode()
            elif word == "cat":
                while (data := await self.input.get()) is not None:
                    yield 1, data
            else:
                code = NOT_FOUND
        self.code = code

    async def write(self, data: bytes) -> None:
        await self.input.put(data)

    async def eof(self) -> None:
        await self.input.put(None)

    async def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)

    async def close(self) -> int:
        return KILLED if self.code is None else self.code


def steps(command: tuple[str, ...]) -> list[str]:
    script = command[2] if command[1:2] == ("-c",) else " ".join(command)
    return [step.strip() for step in script.split(";")]
