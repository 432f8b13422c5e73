"""A push, and a clone or fetch: control says whether and where, real git does the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from control import push
from control.values import Push
from core.text import clean
from gitd.report import Malformed, Report
from gitd.transport import Git

if TYPE_CHECKING:
    from gitd.session import Session

log = structlog.get_logger()

STDERR = 1
"""SSH's number for it."""
KILLED = 128


class Bridge:
    """One git process and the client at the other end."""

    def __init__(self, session: Session, git: Git, out: Callable[[bytes], None]) -> None:
        self._git = git
        stdin = git.connect(out, lambda data: session.write(data, STDERR), session.hold.pause, session.hold.resume)
        session.bridge = self
        session.hold.pour(stdin)
        self.pause, self.resume = git.pause, git.resume
        if session.gone.is_set():
            self.lost()

    def lost(self) -> None:
        """The client is gone."""
        self._git.kill()

    async def ended(self) -> int:
        code = await self._git.wait()
        return code if code >= 0 else KILLED - code


async def upload(session: Session, app: str, env: Mapping[str, str]) -> int:
    """Clone or fetch; the exit code."""
    folder = await session.door.call(push.repository, session.user, app)
    sender = f"uploadpack.packObjectsHook={session.door.hooks / 'pack-objects'}"
    git = await Git.start(folder, ["-c", sender, "upload-pack", "--strict", str(folder)], env)
    return await Bridge(session, git, session.write).ended()


async def receive(session: Session, app: str, env: Mapping[str, str]) -> int:
    """A push, held open until its deploy has a verdict; the exit code."""
    door = session.door
    entry = await door.call(push.begin, session.user, app)
    standing = door.relay.enter(entry)
    report = Report()
    code = 1
    try:
        session.say(*(f" !     {clean(line)}" for line in await door.call(push.notices, entry)))
        code = await carry(session, entry, report, env)
    finally:
        door.relay.leave(entry)
        reasons = await door.call(push.settle, entry, gone=session.gone.is_set())
    rest, refused = report.finish(reasons, entry.refusal if report.too_large else standing.declined)
    session.write(rest)
    return 1 if refused else code


async def carry(session: Session, entry: Push, report: Report, env: Mapping[str, str]) -> int:
    """Run receive-pack to its end; the exit code."""
    bridge: Bridge | None = None

    def pass_on(data: bytes) -> None:
        try:
            session.write(report.feed(data))
        except Malformed:
            log.exception("push.malformed", push=entry.id)
            assert bridge
            bridge.lost()

    bridge = Bridge(session, await start(session, entry, env), pass_on)
    return await bridge.ended()


async def start(session: Session, entry: Push, env: Mapping[str, str]) -> Git:
    door = session.door
    settings = [f"core.hooksPath={door.hooks}", f"receive.maxInputSize={entry.max_pack}"]
    arguments = [word for setting in settings for word in ("-c", setting)]
    told = {"PAAS_SOCKET": str(door.relay.path), "PAAS_PUSH": entry.id}
    return await Git.start(entry.path, [*arguments, "receive-pack", str(entry.path)], {**env, **told})
