"""An excerpt leaves the appliance: checked against its hash, whole or with headers only."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.decode.bare import strip
from appliance.errors import CaptureError, UsageError
from appliance.host.sensor.excerpt_files import FOLDER, INCIDENT, MOST_BYTES, SUFFIX
from appliance.host.writing import check_target, write_whole
from appliance.packets.frames import FILE_HEAD, Frames
from appliance.packets.reader import batches
from appliance.packets.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TRIES = 4  # a second each


class OtherHashError(CaptureError):
    """The file is not the one that was told of: it was changed, or the record of its latest writing is still on its way."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What left: frames, the SHA-256 of the file written and of the excerpt it was made from."""

    frames: int
    sha256: str
    original: str


def patiently(ask: Callable[[], Mapping[str, object]], directory: Path, target: str, *, headers_only: bool) -> Exported:
    """`export`, asked again for TRIES seconds where an incident that grows is just written anew; `ask` gives its record."""
    for left in range(TRIES, -1, -1):
        try:
            return export(directory, ask(), target, headers_only=headers_only)
        except OtherHashError:
            if not left:
                raise
            time.sleep(1)
    raise AssertionError(TRIES)


def export(directory: Path, record: Mapping[str, object], target: str, *, headers_only: bool) -> Exported:
    """Write the excerpt that a `packets` record tells of to `target`. Raises UsageError and CaptureError in one line.

    directory     the state directory
    headers_only  every byte behind the headers becomes zero; lengths and checksums stay
    """
    incident, told = str(record.get("incident")), str(record.get("sha256"))
    if INCIDENT.fullmatch(incident) is None:
        raise UsageError(f"{incident[:40]!r}: no incident; see `sekisho incident list`")
    path = directory / FOLDER / f"{incident}{SUFFIX}"
    check_target(target, [path])
    content = _read(path, incident)
    found = hashlib.sha256(content).hexdigest()
    if found != told:
        raise OtherHashError(
            f"{path}: its SHA-256 is {found[:16]}, {told[:16]} was told when it was written: it was changed, or is being written"
            " anew; try again, else keep it as it is and ask who was there"
        )
    with open_source(str(path), io.BytesIO(content)) as source:
        parts = []
        for batch in batches(source):
            if headers_only:
                strip(batch)
            parts.append(Frames.of(batch))
    whole = Frames.chain(parts)
    if headers_only:
        content = whole.pcap()
    write_whole(target, content)
    return Exported(len(whole), hashlib.sha256(content).hexdigest(), found)


def _read(path: Path, incident: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + FILE_HEAD + 1)
    except FileNotFoundError as error:
        raise CaptureError(
            f"{incident}: its packets are not here any more: the oldest are removed to keep within [packets] keep_mib"
        ) from error
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}; become root, or a member of its group") from error
    if len(content) > MOST_BYTES + FILE_HEAD:
        raise CaptureError(f"{path}: larger than any excerpt; it was changed, keep it as it is and ask who was there")
    return content
