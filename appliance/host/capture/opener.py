"""The opener: the only process that may open packet sockets. It reads no packet.

It follows the interfaces by netlink and passes a socket with its ring to the sensor (SCM_RIGHTS) for every interface that the
sensor asked for, again when an interface came back under another index. It keeps no descriptor, so a ring lives as long as
the sensor reads it. Started as `python -m appliance.host.capture.opener DESCRIPTOR`: the number of a listening Unix socket, or
of one end of a pair.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import NoReturn

from appliance.errors import LiveError
from appliance.host.capture.af_packet import LINKS, open_rings
from appliance.host.capture.links import Here, Links, Listed, Removed
from appliance.host.capture.offloads import offloads_on
from appliance.host.capture.opening import Close, Gone, Link, Message, Open, Opened, Refused, receive, send
from appliance.host.control import sensor_uids
from appliance.host.notify import Notifier
from appliance.host.privileges import NET_ADMIN, NET_RAW, keep_only, peer_of

MAX_INTERFACES = 16
PULSE_S = 5.0  # between signs of life


@dataclass(slots=True)
class Opener:
    """Which interfaces are wanted, which are here, which are open.

    here   index -> name, whether it is up, kind of its frames (ARPHRD), as netlink told
    opened wanted name -> index of the socket that was passed on
    """

    channel: socket.socket
    wanted: dict[str, Open] = field(default_factory=dict)
    here: dict[int, tuple[str, bool, int]] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)

    def take(self, message: Message) -> None:
        """Do what the sensor asks. Raises LiveError for what is not its to say."""
        if isinstance(message, Open):
            if len(self.wanted) >= MAX_INTERFACES and message.interface not in self.wanted:
                send(self.channel, Refused(message.interface, f"more than {MAX_INTERFACES} interfaces"))
                return
            self.wanted[message.interface] = message
            self.opened.pop(message.interface, None)
            index = next((i for i, (name, _, _) in self.here.items() if name == message.interface), None)
            if index is None:
                send(self.channel, Refused(message.interface, "there is no such interface now; it is opened when it comes"))
            else:
                self._open(message, index)
        elif isinstance(message, Close):
            self.wanted.pop(message.interface, None)
            self.opened.pop(message.interface, None)
        else:
            raise LiveError("opener: the sensor sent what only an opener says; start both anew")

    def link(self, index: int, name: str, up: bool, kind: int) -> None:
        """An interface is here, or changed."""
        before, self.here[index] = self.here.get(index), (name, up, kind)
        if before == (name, up, kind):
            return
        for wanted in [w for w, i in self.opened.items() if i == index]:
            send(self.channel, Link(wanted, up, name))
        if name in self.wanted and self.opened.get(name) != index:
            self._open(self.wanted[name], index)

    def gone(self, index: int) -> None:
        """An interface is no more."""
        self.here.pop(index, None)
        for wanted in [w for w, i in self.opened.items() if i == index]:
            del self.opened[wanted]
            send(self.channel, Gone(wanted, "the interface was removed; it is opened again when it comes back"))

    def _open(self, wish: Open, index: int) -> None:
        name, (present, up, kind) = wish.interface, self.here[index]
        try:
            if kind not in LINKS:
                raise LiveError(f"{name}: frames of its kind (ARPHRD {kind}) are not read; name an Ethernet interface")
            rings = open_rings(
                name, index, wish.shape, wish.program, promiscuous=wish.promiscuous, shares=wish.shares, spread=wish.spread
            )
            since = time.time_ns()
        except LiveError as error:
            send(self.channel, Refused(name, str(error)))
            return
        with contextlib.ExitStack() as closing:
            for ring in rings:
                closing.enter_context(ring)
            still = offloads_on(present, switch_off=wish.offloads)
            opened = Opened(name, index, LINKS[kind], wish.shape, still, wish.shares, since)
            send(self.channel, opened, [ring.fileno() for ring in rings])
        self.opened[name] = index
        send(self.channel, Link(name, up, present))


def serve(channel: socket.socket, notifier: Notifier) -> None:
    """Until the sensor is gone. Raises OSError where the kernel does not tell of its interfaces."""
    opener = Opener(channel)
    with Links() as links:
        listed = False
        while True:
            # nobody is answered before it is known what is here
            asking = [channel.fileno()] if listed else []
            ready = select.select([links.fileno(), *asking], [], [], PULSE_S)[0]
            notifier.alive()
            if links.fileno() in ready:
                listed |= _followed(links, opener)
            if channel.fileno() in ready and not _answered(channel, opener):
                return


def _followed(links: Links, opener: Opener) -> bool:
    """Take what the kernel tells; whether it has listed all."""
    listed = False
    for event in links.events():
        match event:
            case Here(index, name, up, kind):
                opener.link(index, name, up, kind)
            case Removed(index):
                opener.gone(index)
            case Listed():
                listed = True
    return listed


def _answered(channel: socket.socket, opener: Opener) -> bool:
    """Take one message of the sensor; False where it is gone or says what nobody may."""
    try:
        said = receive(channel)
        if said is not None:
            opener.take(said[0])
        return said is not None
    except ConnectionError:  # the sensor ended, with words of ours unread
        return False
    except (LiveError, OSError) as error:
        sys.stderr.write(f"sekisho: {error}\n")
        return False


def main() -> None:
    """Give up what is not needed, then serve."""
    given = socket.socket(fileno=int(sys.argv[1]))
    if given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        serve_door(given)
    keep_only({NET_RAW, NET_ADMIN})
    _serve(given, Notifier())


def serve_door(door: socket.socket) -> NoReturn:
    """Serve whoever comes through a listening socket, one sensor after the other."""
    keep_only({NET_RAW, NET_ADMIN})
    notifier = Notifier.of(os.environ)
    notifier.ready()
    while True:
        notifier.alive()
        if not select.select([door.fileno()], [], [], PULSE_S)[0]:
            continue
        channel, _ = door.accept()
        if _ours(channel):
            _serve(channel, notifier)
        channel.close()


def _ours(channel: socket.socket) -> bool:
    """Only root, who runs as the same user, and the sensor's own user are served (SO_PEERCRED)."""
    return peer_of(channel).uid in {0, os.geteuid(), *sensor_uids()}


def _serve(channel: socket.socket, notifier: Notifier) -> None:
    with contextlib.suppress(ConnectionError):  # the sensor ended first
        serve(channel, notifier)


if __name__ == "__main__":
    main()
