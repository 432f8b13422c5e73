"""Who is at the door: public keys only, and a name only for a key that has signed."""

from __future__ import annotations

import asyncssh
import structlog

from control import accounts
from control.values import User
from gitd.door import Door
from gitd.session import Session

log = structlog.get_logger()

MOST_OFFERS = 10
"""Keys one connection may offer; an agent with more must be told which (IdentitiesOnly)."""
MOST_SESSIONS = 64
"""Sessions one key may have open at once."""


class Visitor(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._offers: set[str] = set()
        self._offered: tuple[str, User] | None = None
        self._proven: tuple[str, User] | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """Whatever name is given, the key decides."""
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether somebody has this key; asked for a mere offer too, so nothing is proven yet."""
        fingerprint = key.get_fingerprint()
        self._offers.add(fingerprint)
        if len(self._offers) > MOST_OFFERS:
            raise asyncssh.DisconnectError(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
                "too many keys: name the right one with IdentityFile and IdentitiesOnly",
            )
        user = await self._door.call(accounts.identify_key, fingerprint)
        self._offered = (fingerprint, user) if user else None
        return user is not None

    def auth_completed(self) -> None:
        """The last key asked about has signed."""
        self._proven = self._offered
        if self._proven:
            log.info("ssh.in", user=self._proven[1].name, key=self._proven[0])

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel[bytes], Session]:
        if self._proven is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "nobody has signed in")
        fingerprint, user = self._proven
        if self._door.sessions[fingerprint] >= MOST_SESSIONS:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, f"this key has {MOST_SESSIONS} sessions open: close some"
            )
        return self._connection.create_server_channel(), Session(self._door, user, fingerprint)
