"""The side that answers lines: many peers at once, none of which is waited for.

Who asks is told by the kernel (SO_PEERCRED). A peer that sends too much, nothing or nonsense gets one line that says so; it
never stops the process that answers.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.errors import SekishoError
from appliance.host.control import refusal, request
from appliance.host.privileges import peer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.host.control import Json, Line

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
    looked: int = 0  # bytes of it in which no line ends
    answers: bytearray = field(default_factory=bytearray)
    over: bool = False  # nothing more is taken; what is to be said is still said


class LineServer:
    """Reads lines, writes answers.

    of       who answers: how long lines may be
    answer   one request and the uid it comes from -> what is said; raises SekishoError to refuse in one line
    trusted  uids whose lines may be longer, and which are never turned away
    """

    def __init__(self, listener: socket.socket, of: Line, answer: Callable[[Json, int], Json], trusted: frozenset[int]) -> None:
        listener.setblocking(False)
        self.listener, self.of, self.answer, self.trusted = listener, of, answer, trusted
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
            peer = Peer(channel, uid, self.of.trusted if trusted else self.of.others, time.monotonic())
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
            end = peer.asked.find(b"\n", peer.looked)
            if end > peer.limit or (end < 0 and len(peer.asked) > peer.limit):
                self._say(peer, refusal(f"a line of more than {peer.limit:,} bytes; ask for less at once"), over=True)
                return
            if end < 0:
                peer.looked = len(peer.asked)
                return
            line, peer.looked = bytes(peer.asked[:end]), 0
            del peer.asked[: end + 1]
            self._say(peer, self._answered(line, peer.uid))

    def _answered(self, line: bytes, uid: int) -> Json:
        try:
            return {"ok": True, **self.answer(request(line, self.of), uid)}
        except SekishoError as error:
            return refusal(str(error))

    def _say(self, peer: Peer, answer: Json, *, over: bool = False) -> None:
        said = json.dumps(answer, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        if len(said) > self.of.answer:
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
