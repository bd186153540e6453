"""Whom a sender believes and what it keeps secret: TLS contexts, and secrets out of files that nobody else may read."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.host.reporter.senders import SendError

if TYPE_CHECKING:
    from appliance.config.report import Tls

MAX_SECRET = 4096  # octets


def context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 or later, certificate and name of the peer checked. Raises SendError."""
    try:
        made = ssl.create_default_context(cafile=tls.ca or None)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
    except (OSError, ssl.SSLError) as error:
        raise SendError(f"{tls.ca}: cannot be used as certificates of authorities ({_why(error)}); check the file") from error
    if tls.certificate:
        check_private(tls.key)
        try:
            # a key with a passphrase would ask at a terminal: an empty one is given instead, and fails
            made.load_cert_chain(tls.certificate, tls.key, password="")
        except (OSError, ssl.SSLError) as error:
            raise SendError(f"{tls.certificate}: cannot be used with {tls.key} ({_why(error)}); check both files") from error
    return made


def secret(path: str) -> bytes:
    """What a file holds, without the line's end; never told to anybody. Raises SendError."""
    check_private(path)
    try:
        with Path(path).open("rb") as file:
            held = file.read(MAX_SECRET + 1).strip(b"\r\n")
    except OSError as error:
        raise SendError(f"{path}: cannot be read ({error.strerror}); check its owner") from error
    if not held or len(held) > MAX_SECRET:
        raise SendError(f"{path}: holds no secret of 1 to {MAX_SECRET} octets; write it there, on one line")
    return held


def check_private(path: str) -> None:
    """Only its owner may write the file, and only owner and group read it. Raises SendError."""
    try:
        state = Path(path).stat()
    except OSError as error:
        raise SendError(f"{path}: cannot be read ({error.strerror}); check path and owner") from error
    if not stat.S_ISREG(state.st_mode):
        raise SendError(f"{path}: no file; name the file that holds the secret")
    if state.st_mode & 0o037:
        raise SendError(f"{path}: others may read or change it (mode {state.st_mode & 0o777:o}); do: chmod 600 {path}")


def _why(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error)


def tls_failure(host: str, error: OSError) -> SendError:
    """What went wrong on the way to a host, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return SendError(f"{host}: its certificate is not believed ({error.verify_message}); check ca and server_name")
    if isinstance(error, ssl.SSLError):
        return SendError(f"{host}: TLS failed ({_why(error)}); check port, certificates and versions")
    if isinstance(error, TimeoutError):
        return SendError(f"{host}: does not answer in time; check address, port and firewall")
    return SendError(f"{host}: cannot be reached ({error.strerror or error}); check address, port and network")
