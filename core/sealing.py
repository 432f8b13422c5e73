"""Config vars at rest: envelope encryption with AES-256-GCM.

Each app has a random data key, sealed under the master key; each value is sealed under its app's data key and
bound to app, name and version, so a ciphertext copied to another place does not open.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import Unavailable

NONCE_BYTES = 12


def master_key(path: Path) -> bytes:
    """The installation's 32-byte master key, made in a 0600 file on first use."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != 32:
            raise Unavailable(f"the master key in {path} is damaged", "Restore it from your backup.") from None
        return key
    with os.fdopen(descriptor, "wb") as file:
        key = AESGCM.generate_key(256)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def new_key() -> bytes:
    """A random 32-byte data key."""
    return AESGCM.generate_key(256)


def seal(key: bytes, plain: bytes, *place: object) -> bytes:
    """`plain` encrypted under `key`, bound to `place` (app id, name, version)."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound(place))


def unseal(key: bytes, sealed: bytes, *place: object) -> bytes:
    """The plain bytes of `sealed`; Unavailable when key, value or place do not match."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound(place))
    except InvalidTag as error:
        raise Unavailable("a sealed value does not open", "Is this the master key it was sealed with?") from error


def bound(place: tuple[object, ...]) -> bytes:
    return "\x1f".join(str(part) for part in place).encode()
