"""A host that does what the script says over plain sockets: sends given bytes, tries many addresses or ports."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from tests.lab.peers.control import Control, Spec, run_peer

if TYPE_CHECKING:
    import random

_SERVERS: dict[int, asyncio.Server] = {}  # a server that nobody holds would be collected


async def tcp_send(order: Spec) -> object:
    """Connect to `host`:`port`, send each of `payloads` (hex) `gap` seconds apart; returns own port and answers as hex."""
    answers: list[str] = []
    reader, writer = await asyncio.wait_for(asyncio.open_connection(order["host"], order["port"]), 3)
    own = writer.get_extra_info("sockname")[1]
    for payload in order["payloads"]:
        writer.write(bytes.fromhex(payload))
        with contextlib.suppress(asyncio.TimeoutError):
            answers.append((await asyncio.wait_for(reader.read(2048), 1)).hex())
        await asyncio.sleep(order.get("gap", 0.05))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return {"port": own, "answers": answers}


async def udp_send(order: Spec) -> object:
    """Send each of `payloads` (hex) to `host`:`port` from `source_port`; returns the answers as hex."""
    loop = asyncio.get_running_loop()
    answers: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("", order.get("source_port", 0)))
        sock.connect((order["host"], order["port"]))
        for payload in order["payloads"]:
            await loop.sock_sendall(sock, bytes.fromhex(payload))
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                answers.append((await asyncio.wait_for(loop.sock_recv(sock, 2048), 0.5)).hex())
            await asyncio.sleep(order.get("gap", 0.05))
    return answers


async def connect_scan(order: Spec) -> object:
    """Try TCP `ports` of `hosts` one after the other, `gap` seconds apart, not waiting; returns what accepted."""
    found: list[str] = []

    async def attempt(host: str, port: int) -> None:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), order.get("timeout", 1.0))
            found.append(f"{host}:{port}")
            writer.close()

    tasks = []
    for host in order["hosts"]:
        for port in order["ports"]:
            tasks.append(asyncio.create_task(attempt(host, port)))
            await asyncio.sleep(order.get("gap", 0.01))
    await asyncio.gather(*tasks)
    return found


async def tcp_serve(order: Spec) -> object:
    """Listen on `port` and answer whatever comes with as many bytes without meaning, as a service nobody knows does."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(2048):
                writer.write(bytes((value * 167 + n) & 0xFF for n, value in enumerate(data)))
        writer.close()

    if order["port"] not in _SERVERS:
        _SERVERS[order["port"]] = await asyncio.start_server(answer, "", order["port"])
    return "listens"


async def setup(_: Spec, control: Control, __: random.Random) -> None:
    """Nothing happens until the script asks."""
    control.on("tcp_send", tcp_send)
    control.on("udp_send", udp_send)
    control.on("connect_scan", connect_scan)
    control.on("tcp_serve", tcp_serve)


if __name__ == "__main__":
    run_peer(setup)
