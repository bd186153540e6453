"""The network ports of this machine as a person chooses among them, and the units that are started when the choice is made."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from appliance.errors import LiveError

TARGET = "sekisho.target"
PATIENCE_S = 120.0  # that systemctl may take


@dataclass(frozen=True, slots=True)
class Port:
    """One interface: its name, whether it has a link, the box's own addresses on it."""

    name: str
    up: bool
    addresses: tuple[str, ...]


def ports() -> list[Port]:
    """All but the loopback, by name. Raises LiveError."""
    try:
        with IPRoute() as route:
            own: dict[int, list[str]] = {}
            for row in route.get_addr():
                address = str(row.get_attr("IFA_ADDRESS"))
                if not address.startswith("fe80:"):  # every port has one of these
                    own.setdefault(row["index"], []).append(address)
            links = [(row["index"], str(row.get_attr("IFLA_IFNAME")), bool(row["flags"] & 0x10000)) for row in route.get_links()]
    except (OSError, NetlinkError) as error:
        raise LiveError(f"the ports of this machine cannot be listed: {error}; name them with --interface") from error
    return sorted((Port(name, up, tuple(own.get(n, ()))) for n, name, up in links if name != "lo"), key=lambda port: port.name)


def start_units() -> None:
    """Enable and start the appliance, anew where it runs. Raises LiveError."""
    systemctl = shutil.which("systemctl", path="/usr/bin:/bin")
    if systemctl is None:
        raise LiveError("systemctl: not on this machine; start it by hand: sekisho run --config FILE")
    for arguments in (("enable", TARGET), ("restart", TARGET)):
        try:
            done = subprocess.run([systemctl, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)  # noqa: S603  # fixed words, no shell
        except subprocess.TimeoutExpired as error:
            raise LiveError(f"{TARGET}: did not start within {PATIENCE_S:.0f} s; see systemctl status 'sekisho*'") from error
        if done.returncode:
            said = " ".join(done.stderr.split())[:200]
            raise LiveError(f"{TARGET}: systemctl {arguments[0]} failed: {said}; see systemctl status 'sekisho*'")
