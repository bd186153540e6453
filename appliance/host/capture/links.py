"""The interfaces of this machine and every change of them, from the kernel (rtnetlink(7), netlink(7); Linux uapi `if_link.h`).

The opener's own reader of two messages. It keeps the process that may open packet sockets small: a library for all of netlink
is five hundred modules and thirty megabytes there.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

NEWLINK, DELLINK, GETLINK = 16, 17, 18
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_GROUP_LINK = 1  # RTMGRP_LINK
_NETLINK_ROUTE = 0
_HEAD = Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = Struct("=BxHiII")  # ifinfomsg: family, type (ARPHRD), index, flags, change
_ATTRIBUTE = Struct("=HH")
_CODE = Struct("=i")  # nlmsgerr: a negative errno
_NAME = 3  # IFLA_IFNAME
_UP = 0x1 | 0x40  # IFF_UP, IFF_RUNNING
_ASKED = 1  # the number of our question; what the kernel tells by itself has none
_READ = 1 << 16  # bytes of one datagram; the kernel sends no larger ones
ROOM = 1 << 20  # bytes of events that wait


@dataclass(frozen=True, slots=True)
class Here:
    """An interface is here, or changed. `up`: with a carrier; `kind`: of its frames (ARPHRD)."""

    index: int
    name: str
    up: bool
    kind: int


@dataclass(frozen=True, slots=True)
class Removed:
    """An interface is no more."""

    index: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The list that was asked for is complete."""


Event = Here | Removed | Listed


class Links:
    """Follows the interfaces of the network namespace it was made in. It begins with a list of all. Raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_ROUTE
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        self._socket.bind((0, _GROUP_LINK))
        self._missing: set[int] = set()  # indexes that the list which is being read has not named yet
        self._here: set[int] = set()
        self._ask()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """To be waited for."""
        return self._socket.fileno()

    def events(self) -> Iterator[Event]:
        """What has come since the last call. Where the kernel had to drop some, everything is asked anew. Raises OSError."""
        while True:
            try:
                data, sender = self._socket.recvfrom(_READ)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._ask()
                continue
            if sender[0] == 0:  # the kernel, and no other process
                for asked, event in events_of(data):
                    yield from self._followed(asked, event)

    def _ask(self) -> None:
        body = _LINK.pack(0, 0, 0, 0, 0)
        self._missing = set(self._here)
        self._socket.sendto(_HEAD.pack(_HEAD.size + len(body), GETLINK, _REQUEST | _DUMP, _ASKED, 0) + body, (0, 0))

    def _followed(self, asked: bool, event: Event) -> Iterator[Event]:
        match event:
            case Here(index):
                self._here.add(index)
                if asked:  # what waited unread before the list may be long over
                    self._missing.discard(index)
            case Removed(index):
                self._here.discard(index)
                self._missing.discard(index)
            case Listed():
                yield from (Removed(index) for index in sorted(self._missing))
                self._here -= self._missing
                self._missing = set()
        yield event


def events_of(data: bytes) -> list[tuple[bool, Event]]:
    """The events in a datagram of the kernel, each with whether it answers our question.

    What does not hold together ends the datagram. Raises OSError where the kernel refused.
    """
    found: list[tuple[bool, Event]] = []
    at = 0
    while at + _HEAD.size <= len(data):
        size, kind, _, sequence, _ = _HEAD.unpack_from(data, at)
        if size < _HEAD.size or at + size > len(data):
            break
        body, asked = data[at + _HEAD.size : at + size], sequence == _ASKED
        if kind == _DONE:
            found.append((asked, Listed()))
        elif kind == _ERROR:
            code = -_CODE.unpack_from(body)[0] if len(body) >= _CODE.size else errno.EPROTO
            raise OSError(code, "the kernel does not list its interfaces")
        elif kind in (NEWLINK, DELLINK):
            found += [(asked, event) for event in _link(kind, body)]
        at += (size + 3) & ~3
    return found


def _link(kind: int, body: bytes) -> list[Event]:
    if len(body) < _LINK.size:
        return []
    family, arphrd, index, flags, _ = _LINK.unpack_from(body)
    if family:  # a port that leaves a bridge is told as its removal, of the bridge's family
        return []
    if kind == DELLINK:
        return [Removed(index)]
    name = _name(body)
    return [Here(index, name, flags & _UP == _UP, arphrd)] if name else []


def _name(body: bytes) -> str:
    at = _LINK.size
    while at + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, at)
        if size < _ATTRIBUTE.size or at + size > len(body):
            break
        if kind == _NAME:
            return body[at + _ATTRIBUTE.size : at + size].rstrip(b"\0").decode(errors="replace")
        at += (size + 3) & ~3
    return ""
