"""Baselines on disk: one zip of a JSON head and plain arrays, written whole or not at all."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from appliance.errors import BaselineError
from appliance.learn.baselines.codec import Arrays, baseline_digest, baseline_from, baseline_json
from appliance.learn.messages.structure_codec import canonical
from appliance.learn.numbers.prepared import prepared_bytes, prepared_from

if TYPE_CHECKING:
    from appliance.learn.baselines.baseline import Baseline
    from appliance.learn.numbers.prepared import Prepared

MAX_BYTES = 2 << 30  # a file beyond this is no baseline of ours
_PREPARED = "process.json"  # beside the statistics: see `numbers.prepared`
_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal baselines are equal files


def save_baseline(path: str | Path, baseline: Baseline) -> str:
    """Write the baseline; returns its digest. Raises BaselineError; an existing file stays as it was on any failure."""
    from tempfile import NamedTemporaryFile  # who only reads baselines need not wait for it

    target = Path(path)
    head, arrays = baseline_json(baseline)
    head["digest"] = baseline_digest(head, arrays)
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                _write(file, canonical(head), arrays, baseline.prepared)
                _as_before(file.fileno(), target)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise BaselineError(
            f"{target}: cannot be written: {error.strerror or error}; choose another place or make room"
        ) from error
    return str(head["digest"])


def _as_before(descriptor: int, target: Path) -> None:
    """Owner and mode of the file that is replaced: whoever could read it, such as the sensor's own user, still can."""
    try:
        before = target.stat()
    except FileNotFoundError:
        return
    with contextlib.suppress(PermissionError):  # another's file, replaced by somebody who is not root
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _write(file: IO[bytes], head: bytes, arrays: Arrays, prepared: Prepared | None) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        archive.writestr(zipfile.ZipInfo("baseline.json", _DATE), head, zipfile.ZIP_DEFLATED)
        if prepared is not None:
            archive.writestr(zipfile.ZipInfo(_PREPARED, _DATE), prepared_bytes(prepared), zipfile.ZIP_DEFLATED)
        for name in sorted(arrays):
            packed = io.BytesIO()
            np.lib.format.write_array(packed, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _DATE), packed.getvalue(), zipfile.ZIP_DEFLATED)


def load_baseline(path: str | Path) -> tuple[Baseline, str]:
    """Read a baseline and check its digest; returns it with the digest. Raises BaselineError with one clear line."""
    source = Path(path)
    try:
        head, arrays, prepared = _read(source)
    except FileNotFoundError as error:
        raise BaselineError(f"{source}: no such baseline; make one with: sekisho learn CAPTURE --baseline {source}") from error
    except IsADirectoryError as error:
        raise BaselineError(f"{source}: a directory, not a baseline; name the file that `sekisho learn` wrote") from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError, KeyError, ValueError, EOFError, json.JSONDecodeError) as error:
        raise BaselineError(f"{source}: not a baseline or damaged; restore a copy, or learn again") from error
    except OSError as error:
        raise BaselineError(f"{source}: cannot be read: {error.strerror or error}; check its owner and mode") from error
    try:
        baseline = baseline_from(head, arrays)
    except BaselineError as error:
        raise BaselineError(f"{source}: {error}") from error
    if baseline_digest(head, arrays) != head.get("digest"):
        raise BaselineError(
            f"{source}: its digest does not match its content, it was changed or damaged; restore a copy, or learn again"
        )
    baseline.prepared = prepared
    return baseline, str(head["digest"])


def _read(source: Path) -> tuple[dict[str, object], Arrays, Prepared | None]:
    arrays: Arrays = {}
    prepared = None
    with zipfile.ZipFile(source) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise ValueError("too large")
        head = json.loads(archive.read("baseline.json"))
        for name in archive.namelist():
            if name == _PREPARED:
                prepared = prepared_from(archive.read(name))
            if name.endswith(".npy"):
                arrays[name[:-4]] = np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
    if not isinstance(head, dict):
        raise ValueError("head of a wrong kind")  # to the caller this is a damaged file
    return head, arrays, prepared
