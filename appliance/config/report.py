"""[report]: where incidents are reported to, and what may leave the site. Files are named here and opened by host/senders.

[report]
gateway = "plant-7"            # what this box is called outside; without it: its host name
outbox_mib = 64                # disk for what waits
when_full = "drop-oldest"      # or "stop": nothing new is taken until there is room
redact = []                    # "addresses", "values": what does not leave (docs/reporting.md)
findings = 16                  # of an incident that go with it

[report.to.siem]               # any name; any number of them
kind = "syslog"                # or "webhook", "mail", "file"
host = "siem.example"
...
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from appliance.config.table import Table
from appliance.errors import UsageError
from appliance.report.redact import CHOICES
from appliance.report.syslog import FORMATS, LEAST, MOST

if TYPE_CHECKING:
    from collections.abc import Callable

CAUSES: Final = ("security", "fault", "maintenance", "unknown")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
MAX_DESTINATIONS: Final = 16
_URL = re.compile(r"https://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?(/[!-~]*)?")
_HOST = re.compile(r"[A-Za-z0-9:._-]{1,253}")
_ADDRESS = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,253}")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Tls:
    """How a peer is believed.

    ca           path of the authorities' certificates, "": the system's
    certificate, key   paths of our own, "": none
    name         what its certificate must say, "": the host
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ToFile:
    """JSON lines in a file that is rotated: at most `keep` old ones of `max_bytes`."""

    path: str
    max_bytes: int = 64 * _MIB
    keep: int = 4


@dataclass(frozen=True, slots=True)
class ToSyslog:
    """RFC 5425; `max_bytes` of one message."""

    host: str
    port: int
    tls: Tls
    form: str = "ocsf"
    max_bytes: int = 8192


@dataclass(frozen=True, slots=True)
class ToWebhook:
    """HTTPS POST; `secret` is the path of the file that holds the key of the signature, "": none."""

    host: str
    port: int
    path: str
    tls: Tls
    secret: str = ""
    batch: int = 50


@dataclass(frozen=True, slots=True)
class ToMail:
    """SMTP; at most `per_hour` mails, of what came in the meantime; `gather_s`: how long the first waits for others."""

    host: str
    port: int
    security: str
    tls: Tls
    sender: str
    to: tuple[str, ...]
    user: str = ""
    password: str = ""
    per_hour: int = 4
    gather_s: float = 30.0


Target = ToFile | ToSyslog | ToWebhook | ToMail


@dataclass(frozen=True, slots=True)
class Destination:
    """One of them: causes that are reported there, what does not leave to there."""

    name: str
    kind: str
    target: Target
    causes: tuple[str, ...] = CAUSES
    redact: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All of the table. `gateway` "": the host name."""

    destinations: tuple[Destination, ...]
    gateway: str = ""
    outbox_bytes: int = 64 * _MIB
    when_full: str = "drop-oldest"
    redact: tuple[str, ...] = ()
    findings: int = 16

    @classmethod
    def read(cls, table: Table) -> Self:
        """What the table says. Raises UsageError."""
        redact = _among(table, "redact", CHOICES)
        gateway = table.text("gateway", "")
        if gateway and not NAME.fullmatch(gateway):
            raise table.wrong("gateway", f"{gateway[:40]!r} is no name; write letters, digits, dots and dashes, at most 63")
        to = table.table("to")
        if not 1 <= len(to.plain) <= MAX_DESTINATIONS:
            raise UsageError(
                f"{table.name}: [report] has {len(to.plain)} destinations; give 1 to {MAX_DESTINATIONS}, each as [report.to.NAME]"
            )
        return cls(
            destinations=tuple(_destination(table.name, name, to.plain[name], redact) for name in to.plain),
            gateway=gateway,
            outbox_bytes=table.number("outbox_mib", 64, 1, 1 << 16) * _MIB,
            when_full=table.choice("when_full", "drop-oldest", ("drop-oldest", "stop")),
            redact=redact,
            findings=table.number("findings", 16, 0, 64),
        )


def _destination(file: str, name: str, plain: object, redact: tuple[str, ...]) -> Destination:
    title = f"[report.to.{name[:40]}]"
    if not NAME.fullmatch(name):
        raise UsageError(f"{file}: {title}: no name of a destination; write letters, digits, dots and dashes, at most 63")
    if not isinstance(plain, dict):
        raise UsageError(f"{file}: {title} is no table; write [report.to.NAME] and its keys below")
    table = Table(file, title, plain)
    kind = table.text("kind")
    if kind not in _KINDS:
        raise table.wrong("kind", f"{kind[:40]!r} is none of {', '.join(_KINDS)}")
    target = _KINDS[kind](table)
    causes = _among(table, "causes", CAUSES) or CAUSES
    own = _among(table, "redact", CHOICES) if "redact" in table.plain else redact
    table.end()
    return Destination(name, kind, target, causes, own)


def _file(table: Table) -> ToFile:
    return ToFile(table.path("path"), table.number("max_mib", 64, 1, 1 << 14) * _MIB, table.number("keep", 4, 0, 100))


def _syslog(table: Table) -> ToSyslog:
    host = _host(table)
    port = table.number("port", 6514, 1, 65535)
    tls = _tls(table)
    return ToSyslog(host, port, tls, table.choice("format", "ocsf", FORMATS), table.number("max_bytes", 8192, LEAST, MOST))


def _webhook(table: Table) -> ToWebhook:
    url = table.text("url")
    match = _URL.fullmatch(url)
    if match is None or not 0 < int(match[2] or 443) < 65536:
        raise table.wrong("url", f"{url[:60]!r} is no https address; write it like https://hooks.example/path")
    host = match[1].strip("[]")
    batch = table.number("batch", 50, 1, 500)
    return ToWebhook(host, int(match[2] or 443), match[3] or "/", _tls(table), _path(table, "secret_file"), batch)


def _mail(table: Table) -> ToMail:
    host, to, sender = _host(table), table.texts("to"), table.text("from")
    for key, address in (*(("to", a) for a in to), ("from", sender)):
        if not _ADDRESS.fullmatch(address):
            raise table.wrong(key, f"{address[:60]!r} is no mail address; write it like name@plant.example")
    if not 1 <= len(to) <= 16:
        raise table.wrong("to", f"names {len(to)} addresses; give 1 to 16")
    security = table.choice("security", "starttls", ("starttls", "tls"))
    user, password = table.text("user", ""), _path(table, "password_file")
    if bool(user) != bool(password):
        raise table.wrong("user", "user and password_file belong together; give both or none")
    return ToMail(
        host=host,
        port=table.number("port", 587 if security == "starttls" else 465, 1, 65535),
        security=security,
        tls=_tls(table),
        sender=sender,
        to=to,
        user=user,
        password=password,
        per_hour=table.number("per_hour", 4, 1, 60),
        gather_s=table.duration("gather", 30 * 10**9) * 1e-9,
    )


_KINDS: dict[str, Callable[[Table], Target]] = {"file": _file, "syslog": _syslog, "webhook": _webhook, "mail": _mail}


def _host(table: Table) -> str:
    host = table.text("host")
    if not _HOST.fullmatch(host):
        raise table.wrong("host", f"{host[:60]!r} is no host; write a name or an address")
    return host


def _tls(table: Table) -> Tls:
    tls = Tls(_path(table, "ca"), _path(table, "certificate"), _path(table, "key"), table.text("server_name", ""))
    if bool(tls.certificate) != bool(tls.key):
        raise table.wrong("certificate", "certificate and key belong together; give both or none")
    return tls


def _path(table: Table, key: str) -> str:
    return table.path(key) if key in table.plain else ""


def _among(table: Table, key: str, words: tuple[str, ...]) -> tuple[str, ...]:
    given = table.texts(key)
    for word in given:
        if word not in words:
            raise table.wrong(key, f"{word[:40]!r} is none of {', '.join(words)}")
    return given
