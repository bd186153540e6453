"""What the sensor and the opener say to each other: one JSON object in one datagram of a Unix socket, strictly read.

    sensor -> opener   {"type":"open","interface":..,"block":..,"blocks":..,"hold_ms":..,"promiscuous":..,"offloads":..,
                        "program":[[..]],"shares":..,"spread":[[..]]}
                       {"type":"close","interface":..}
    opener -> sensor   {"type":"opened","interface":..,"index":..,"link":..,"block":..,"blocks":..,"hold_ms":..,"offloads":[..],
                        "shares":..,"since":..}
                       with the descriptors beside it (SCM_RIGHTS), one a share, again whenever the interface came back
                       {"type":"gone","interface":..,"why":..}   {"type":"refused","interface":..,"why":..}
                       {"type":"link","interface":..,"up":..,"name":..}

An unknown type, a missing or further key, a wrong kind or a number out of its range refuses the whole message.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from appliance.config import INTERFACE
from appliance.errors import LiveError
from appliance.packets.fanout import MAX_SHARES
from appliance.packets.filters import MAX_INSTRUCTIONS, Instruction
from appliance.packets.ringshape import RingShape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_MESSAGE = 192 << 10
MAX_RING = 1 << 30
_TEXT = 400  # characters of a reason that are passed on


@dataclass(frozen=True, slots=True)
class Open:
    """Watch an interface; `offloads`: switch receive offloads off where they are on.

    shares, spread   so many rings, and the program that divides the frames among them
    """

    interface: str
    shape: RingShape
    promiscuous: bool
    offloads: bool
    program: tuple[Instruction, ...] = ()
    shares: int = 1
    spread: tuple[Instruction, ...] = ()


@dataclass(frozen=True, slots=True)
class Close:
    """Watch it no longer."""

    interface: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket with a ring comes with this for each share; `offloads` are those that are still on.

    since   ns since the epoch from which on the rings get all frames: what they replace need not be read further
    """

    interface: str
    index: int
    link: int
    shape: RingShape
    offloads: tuple[str, ...] = ()
    shares: int = 1
    since: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """The interface is no more; it is opened again when it comes back."""

    interface: str
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be opened (now)."""

    interface: str
    why: str


@dataclass(frozen=True, slots=True)
class Link:
    """It went up or down, or is called `name` now."""

    interface: str
    up: bool
    name: str


Message = Open | Close | Opened | Gone | Refused | Link
_NAMES: dict[type[Message], str] = {
    Open: "open",
    Close: "close",
    Opened: "opened",
    Gone: "gone",
    Refused: "refused",
    Link: "link",
}


def encode(message: Message) -> bytes:
    """A message as JSON."""
    plain: dict[str, object] = {"type": _NAMES[type(message)]}
    for name in message.__dataclass_fields__:
        value = getattr(message, name)
        if isinstance(value, RingShape):
            plain |= {"block": value.block, "blocks": value.blocks, "hold_ms": value.hold_ms}
        else:
            plain[name] = value[:_TEXT] if isinstance(value, str) else value
    return json.dumps(plain, separators=(",", ":")).encode()


def decode(raw: bytes) -> Message:
    """A message from JSON. Raises LiveError for anything else."""
    try:
        plain = json.loads(raw)
        kind = plain.pop("type")
        message = _READ[kind](plain)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LiveError(f"opener: a message that is none ({type(error).__name__}: {str(error)[:80]}); start both anew") from error
    if plain:
        raise LiveError(f"opener: a message with an unknown key {next(iter(plain))[:40]!r}; start both anew")
    return message


def _name(plain: dict[str, Any], key: str = "interface") -> str:
    value = plain.pop(key)
    if not isinstance(value, str) or not INTERFACE.fullmatch(value):
        raise ValueError(f"{key} is no name of an interface")
    return value


def _number(plain: dict[str, Any], key: str, low: int, high: int) -> int:
    value = plain.pop(key)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{key} is not within {low} and {high}")
    return value


def _flag(plain: dict[str, Any], key: str) -> bool:
    value = plain.pop(key)
    if type(value) is not bool:
        raise ValueError(f"{key} is neither true nor false")
    return value


def _text(plain: dict[str, Any], key: str) -> str:
    value = plain.pop(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    return value[:_TEXT]


def _shape(plain: dict[str, Any]) -> RingShape:
    block = _number(plain, "block", 1 << 16, 1 << 22)
    shape = RingShape(block, _number(plain, "blocks", 2, 1 << 14), _number(plain, "hold_ms", 1, 10_000))
    if block & (block - 1) or shape.size > MAX_RING:
        raise ValueError("no shape of a ring")
    return shape


def _program(plain: dict[str, Any], key: str) -> tuple[Instruction, ...]:
    program = plain.pop(key)
    if not isinstance(program, list) or len(program) > MAX_INSTRUCTIONS:
        raise ValueError("no program")
    code = []
    for row in program:
        if not isinstance(row, list) or len(row) != 4 or not all(type(n) is int for n in row):
            raise ValueError("no instruction")
        if not (0 <= row[0] <= 0xFFFF and 0 <= row[1] <= 255 and 0 <= row[2] <= 255 and 0 <= row[3] <= 0xFFFFFFFF):
            raise ValueError("no instruction")
        code.append(Instruction(*row))
    return tuple(code)


def _open(plain: dict[str, Any]) -> Open:
    shares, spread = _number(plain, "shares", 1, MAX_SHARES), _program(plain, "spread")
    if (shares > 1) != bool(spread):
        raise ValueError("several shares, and nothing that divides, or the reverse")
    program = _program(plain, "program")
    return Open(_name(plain), _shape(plain), _flag(plain, "promiscuous"), _flag(plain, "offloads"), program, shares, spread)


def _close(plain: dict[str, Any]) -> Close:
    return Close(_name(plain))


def _opened(plain: dict[str, Any]) -> Opened:
    still = plain.pop("offloads")
    if not isinstance(still, list) or len(still) > 16 or not all(isinstance(s, str) and len(s) < 40 for s in still):
        raise ValueError("no offloads")
    index, link = _number(plain, "index", 1, 2**31 - 1), _number(plain, "link", 0, 65534)
    shares, since = _number(plain, "shares", 1, MAX_SHARES), _number(plain, "since", 0, (1 << 63) - 1)
    return Opened(_name(plain), index, link, _shape(plain), tuple(still), shares, since)


def _gone(plain: dict[str, Any]) -> Gone:
    return Gone(_name(plain), _text(plain, "why"))


def _refused(plain: dict[str, Any]) -> Refused:
    return Refused(_name(plain), _text(plain, "why"))


def _link(plain: dict[str, Any]) -> Link:
    return Link(_name(plain), _flag(plain, "up"), _name(plain, "name"))


_READ: dict[str, Callable[[dict[str, Any]], Message]] = {
    "open": _open,
    "close": _close,
    "opened": _opened,
    "gone": _gone,
    "refused": _refused,
    "link": _link,
}


def send(channel: socket.socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    """Send one message, with descriptors beside it. Raises OSError."""
    socket.send_fds(channel, [encode(message)], list(descriptors))


def receive(channel: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message and the descriptors that came with it; None at the end. Raises LiveError, OSError.

    Descriptors that come with anything but `opened`, or are not one a share, are closed and the message refused.
    """
    raw, descriptors, flags, _ = socket.recv_fds(channel, MAX_MESSAGE, MAX_SHARES + 1)
    try:
        if not raw and not descriptors:
            return None
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise LiveError("opener: a message that is too long; start both anew")
        message = decode(raw)
        if len(descriptors) != (message.shares if isinstance(message, Opened) else 0):
            raise LiveError(
                f"opener: {len(descriptors)} descriptors with a message of type {_NAMES[type(message)]}; start both anew"
            )
    except LiveError:
        for descriptor in descriptors:
            socket.close(descriptor)
        raise
    return message, descriptors
