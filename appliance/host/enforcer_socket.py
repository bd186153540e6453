"""The enforcer's Unix socket, both ends: one line of JSON asks, one line answers."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from appliance.decide.records import MAX_BYTES
from appliance.errors import AwayError, RulesError

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]


def read_line(peer: socket.socket, limit: int) -> bytes:
    """One line, b"" where it is too long or the peer went away."""
    parts: list[bytes] = []
    size = 0
    while size <= limit:
        part = peer.recv(1 << 16)
        if not part:
            return b""
        size += len(part)
        parts.append(part)
        if part.endswith(b"\n"):
            return b"".join(parts) if size <= limit else b""
    return b""


def listen(path: Path) -> socket.socket:
    """The socket on which requests come; readable and writable for owner and group. Raises RulesError."""
    try:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(16)
    except OSError as error:
        raise RulesError(f"{path}: no socket can be made there ({error.strerror}); check folder and owner") from error
    return listener


def ask(path: Path, request: Json, seconds: float = 30.0) -> Json:
    """Ask the enforcer; what it answers within so long. Raises RulesError with its own line where it refuses, AwayError."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(seconds)
            peer.connect(str(path))
            peer.sendall(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            answer = json.loads(read_line(peer, MAX_BYTES) or b"{}")
    except (OSError, ValueError) as error:
        raise AwayError(f"{path}: the enforcer does not answer ({error}); start it with: sekisho enforcer") from error
    if not isinstance(answer, dict) or answer.get("ok") is not True:
        raise RulesError(str(answer.get("error") if isinstance(answer, dict) else "no answer that can be read"))
    return answer


def is_answering(path: Path) -> bool:
    """Whether an enforcer listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        try:
            peer.connect(str(path))
        except OSError:
            return False
    return True
