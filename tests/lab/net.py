"""Namespaces, a bridge and veth pairs for one plant. Nothing here is connected to any other network."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import SekishoError

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "skl"
BRIDGE = "br0"


class LabError(SekishoError):
    """The lab cannot be built, or a peer did not do what the script asked."""


def can_build() -> str:
    """Return why namespaces cannot be made here, or "" when they can."""
    if os.geteuid() != 0:
        return "the lab needs root for network namespaces"
    if shutil.which("ip") is None:
        return "the lab needs the `ip` command (package iproute2)"
    probe = subprocess.run(["ip", "netns", "add", f"{PREFIX}{os.getpid()}-probe"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", f"{PREFIX}{os.getpid()}-probe"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else f"network namespaces cannot be made here: {probe.stderr.strip()}"


def ip_batch(lines: Iterable[str], namespace: str | None = None) -> None:
    """Run `ip` commands in one go; raises LabError with the kernel's own words."""
    where = ["-n", namespace] if namespace else []
    done = subprocess.run(
        ["ip", *where, "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise LabError(f"ip: {done.stderr.strip()[:300]}; see that no other lab uses the same names, or run `tests.lab clean`")


def mac_of(address: str) -> str:
    """Return the locally administered hardware address the lab gives to an IPv4 address."""
    return "02:5e:" + ":".join(f"{int(part):02x}" for part in address.split("."))


@dataclass
class Net:
    """One bridge and its hosts.

    tag   short name, part of every namespace's name, so that several plants stand side by side
    """

    tag: str
    hosts: dict[str, str] = field(default_factory=dict)

    def namespace(self, host: str) -> str:
        """Return the namespace of a host ("switch" is the bridge's own)."""
        return f"{PREFIX}{os.getpid()}-{self.tag}-{host}"

    def open(self) -> None:
        """Make the bridge. It has no address and no uplink; it is promiscuous, so the recorder sees each frame once."""
        ip_batch([f"netns add {self.namespace('switch')}"])
        ip_batch(
            [
                f"link add {BRIDGE} type bridge stp_state 0 mcast_snooping 0",
                f"link set {BRIDGE} addrgenmode none",
                f"link set {BRIDGE} promisc on up",
            ],
            self.namespace("switch"),
        )

    def add_host(self, name: str, address: str, *, cable: bool = False) -> None:
        """Attach a host with an address in /24; with `cable` through a namespace of its own where frames can be lost."""
        own, switch = self.namespace(name), self.namespace("switch")
        port = f"p{len(self.hosts)}"
        ip_batch([f"netns add {own}"])
        far, far_name = own, "eth0"
        if cable:
            far, far_name = self.namespace(f"{name}-cable"), "w1"
            ip_batch([f"netns add {far}"])
            ip_batch([f"link add w0 type veth peer name eth0 address {mac_of(address)} netns {own}"], far)
        mac = "" if cable else f"address {mac_of(address)}"
        ip_batch([f"link add {port} type veth peer name {far_name} {mac} netns {far}"], switch)
        ip_batch([f"link set {port} addrgenmode none master {BRIDGE}", f"link set {port} up"], switch)
        if cable:
            ip_batch([f"link set {w} addrgenmode none promisc on up" for w in ("w0", "w1")], far)
        ip_batch(["link set lo up", "link set eth0 addrgenmode none"], own)
        ip_batch([f"address add {address}/24 broadcast + dev eth0", "link set eth0 up"], own)
        ip_batch(["route add 224.0.0.0/4 dev eth0"], own)
        self.hosts[name] = port

    def link(self, name: str, *, up: bool) -> None:
        """Pull or plug the host's cable at the switch."""
        ip_batch([f"link set {self.hosts[name]} {'up' if up else 'down'}"], self.namespace("switch"))

    def close(self) -> None:
        """Remove every namespace of this plant; also after a half-built start."""
        for name in namespaces():
            if name.startswith(f"{PREFIX}{os.getpid()}-{self.tag}-"):
                subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=30)


def namespaces() -> list[str]:
    """Return the names of all namespaces that `ip netns` knows."""
    root = Path("/run/netns")
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def clean() -> list[str]:
    """Remove namespaces of labs whose process is gone; returns their names."""
    gone = []
    for name in namespaces():
        pid = name.removeprefix(PREFIX).split("-")[0]
        if name.startswith(PREFIX) and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=30)
            gone.append(name)
    return gone
