"""Who asks over a Unix socket is what the kernel says."""

import os
import socket

from appliance.host.privileges import Peer, peer_of


def test_the_kernel_says_who_asks() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert peer_of(there) == Peer(os.getpid(), os.geteuid(), os.getegid())


def test_where_nobody_is_connected_nobody_is_named() -> None:
    with socket.socket(socket.AF_UNIX) as alone, socket.socket() as other:
        assert peer_of(alone).uid == peer_of(other).uid == 2**32 - 1
