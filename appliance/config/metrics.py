"""[metrics]: where the keeper serves metrics for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from appliance.config.table import Table

LISTEN = "127.0.0.1:9469"


@dataclass(frozen=True, slots=True)
class Metrics:
    """An address of this machine and a port; `host` is "" where nothing is served."""

    host: str = "127.0.0.1"
    port: int = 9469

    @classmethod
    def read(cls, table: Table) -> Self:
        """What the table says. Raises UsageError."""
        text = table.text("listen", LISTEN)
        if not text:
            return cls("", 0)
        host, _, port = text.rpartition(":")
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else "" if ":" in host else host
        try:
            ip_address(host)
        except ValueError:
            host = ""
        number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
        if not host or not 0 < number < 65536:
            raise table.wrong("listen", f'{text[:60]!r} is no address and port; write {LISTEN}, [::1]:9469, or "" for none')
        return cls(host, number)
