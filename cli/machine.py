"""The user's own machine."""

from __future__ import annotations

import asyncio
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path


def usual_config() -> Path:
    return Path.home() / ".config" / "paas" / "config.json"


@dataclass(frozen=True)
class OwnMachine:
    config: Path = field(default_factory=usual_config)
    folder: Path = Path()
    """Where git is run."""

    async def git(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of git; 127 where there is none."""
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *arguments,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except FileNotFoundError:
            return 127, "git is not installed"
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode(errors="replace").strip()

    def browse(self, url: str) -> bool:
        return webbrowser.open(url)
