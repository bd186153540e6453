"""One line of JSON asks, one line answers, over a Unix stream socket: what the keeper and its clients share.

Who asks is told by the kernel (SO_PEERCRED). A peer that sends too much, nothing or nonsense gets one line that says so; it
never stops the process that answers: nothing here waits for a peer.
"""

from __future__ import annotations

import contextlib
import json
import pwd
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appliance.errors import LiveError, SekishoError
from appliance.host.privileges import peer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Json = dict[str, Any]
KEEPER = "keeper.sock"  # in the runtime directory
SENSOR = "sekisho-sensor"  # the user of the sensor, where each process has one of its own
FEED_BYTES, LINE_BYTES, ANSWER_BYTES = 1 << 20, 64 << 10, 4 << 20  # a line of the sensor, of others, an answer
MAX_PEERS, IDLE_S = 64, 60.0  # peers at a time, besides trusted ones; and how long one may say nothing
_PIECE = 1 << 16


@dataclass(slots=True)
class Peer:
    """One connection: what it sent and was not answered yet, what it has not read yet."""

    channel: socket.socket
    uid: int
    limit: int
    heard: float
    asked: bytearray = field(default_factory=bytearray)
    answers: bytearray = field(default_factory=bytearray)
    over: bool = False  # nothing more is taken; what is to be said is still said


class LineServer:
    """Reads lines, writes answers.

    answer   one line and the uid it comes from -> what is said; raises SekishoError to refuse in one line
    trusted  uids that may send lines of FEED_BYTES and are never turned away
    """

    def __init__(self, listener: socket.socket, answer: Callable[[Json, int], Json], trusted: frozenset[int]) -> None:
        listener.setblocking(False)
        self.listener, self.answer, self.trusted = listener, answer, trusted
        self.peers: dict[int, Peer] = {}
        self.ready = selectors.DefaultSelector()
        self.ready.register(listener, selectors.EVENT_READ)

    def watch(self, descriptor: int, call: Callable[[], None]) -> None:
        """Also call this when a descriptor can be read."""
        self.ready.register(descriptor, selectors.EVENT_READ, call)

    def turn(self, seconds: float) -> None:
        """Do what is to be done; wait so long at the most."""
        for key, events in self.ready.select(seconds):
            if isinstance(key.data, Peer):
                self._serve(key.data, events)
            elif key.fileobj is self.listener:
                self._accept()
            else:
                key.data()
        now = time.monotonic()
        for peer in [p for p in self.peers.values() if now - p.heard > IDLE_S and p.uid not in self.trusted]:
            self._close(peer)

    def close(self) -> None:
        """End all connections."""
        for peer in list(self.peers.values()):
            self._close(peer)
        self.ready.close()
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            channel, _ = self.listener.accept()
            channel.setblocking(False)
            uid = peer_of(channel).uid
            trusted = uid in self.trusted
            peer = Peer(channel, uid, FEED_BYTES if trusted else LINE_BYTES, time.monotonic())
            self.peers[channel.fileno()] = peer
            self.ready.register(channel, selectors.EVENT_READ, peer)
            if len(self.peers) > MAX_PEERS and not trusted:
                self._say(peer, refusal("too many ask at once; ask again later"), over=True)

    def _serve(self, peer: Peer, events: int) -> None:
        peer.heard = time.monotonic()
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(peer)
            if events & selectors.EVENT_READ and not peer.over:
                piece = peer.channel.recv(_PIECE)
                if not piece:
                    self._close(peer)
                    return
                peer.asked += piece
            self._answer_lines(peer)
        except OSError:
            self._close(peer)

    def _answer_lines(self, peer: Peer) -> None:
        """Answer what is complete, while the answers are read."""
        while not peer.over and not peer.answers:
            end = peer.asked.find(b"\n")
            if end > peer.limit or (end < 0 and len(peer.asked) > peer.limit):
                self._say(peer, refusal(f"a line of more than {peer.limit:,} bytes; ask for less at once"), over=True)
                return
            if end < 0:
                return
            line = bytes(peer.asked[:end])
            del peer.asked[: end + 1]
            self._say(peer, self._answered(line, peer.uid))

    def _answered(self, line: bytes, uid: int) -> Json:
        try:
            return {"ok": True, **self.answer(request(line), uid)}
        except SekishoError as error:
            return refusal(str(error))

    def _say(self, peer: Peer, answer: Json, *, over: bool = False) -> None:
        said = json.dumps(answer, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        if len(said) > ANSWER_BYTES:
            said = json.dumps(refusal("the answer is too long; ask for less at once")).encode() + b"\n"
        peer.answers += said
        peer.over = peer.over or over
        with contextlib.suppress(OSError):  # who went away meanwhile is found at the next look
            self._flush(peer)

    def _flush(self, peer: Peer) -> None:
        try:
            sent = peer.channel.send(peer.answers) if peer.answers else 0
        except BlockingIOError:
            sent = 0
        del peer.answers[:sent]
        if peer.over and not peer.answers:
            self._close(peer)
            return
        # who does not read his answers is not heard either
        self.ready.modify(peer.channel, selectors.EVENT_WRITE if peer.answers else selectors.EVENT_READ, peer)

    def _close(self, peer: Peer) -> None:
        if self.peers.pop(peer.channel.fileno(), None) is not None:
            self.ready.unregister(peer.channel)
            peer.channel.close()


def request(line: bytes) -> Json:
    """The object in a line. Raises LiveError in one line for anything else."""
    try:
        asked = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise LiveError(f"malformed request ({' '.join(str(error).split())[:120]}); see docs/operate.md") from error
    if not isinstance(asked, dict):
        raise LiveError('a request is one JSON object in a line, such as {"verb":"snapshot"}')
    return asked


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def refusal(why: str) -> Json:
    """The answer that refuses, in one line."""
    return {"ok": False, "error": " ".join(why.split())[:1000]}


def listen(path: Path, mode: int = 0o660, *, backlog: int = 16) -> socket.socket:
    """A listening socket at `path`. Raises LiveError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise LiveError(f"{path}: no socket can be made there ({error}); check the folder, its owner, [state] runtime") from error
    return listener


def ask(path: Path, wanted: Json, *, who: str = "keeper", timeout: float = 10.0) -> Json:
    """Ask once; the answer without "ok". Raises LiveError with the other's own line where it refuses."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(timeout)
            peer.connect(str(path))
            peer.sendall(json.dumps(wanted, separators=(",", ":")).encode() + b"\n")
            answer = json.loads(read_line(peer))
    except PermissionError as error:
        raise LiveError(
            f"{path}: you may not ask the {who}; use sudo, or join the group of that socket (ls -l {path})"
        ) from error
    except (OSError, ValueError) as error:
        raise LiveError(
            f"{path}: the {who} does not answer ({error}); is `sekisho run` running with this configuration?"
        ) from error
    if not isinstance(answer, dict) or answer.pop("ok", None) is not True:
        raise LiveError(str(answer.get("error", "no reason")) if isinstance(answer, dict) else "no answer that can be read")
    return answer


def read_line(peer: socket.socket, limit: int = ANSWER_BYTES) -> bytes:
    """One line of a blocking peer. Raises ValueError where it does not end, OSError as the socket does."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = peer.recv(_PIECE)
        if not piece or len(line) > limit:
            raise ValueError("no whole line came")
        line += piece
    return bytes(line)


def sensor_uids() -> frozenset[int]:
    """The uid of the sensor's own user, where there is one."""
    try:
        return frozenset({pwd.getpwnam(SENSOR).pw_uid})
    except KeyError:
        return frozenset()
