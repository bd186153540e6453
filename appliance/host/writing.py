"""Files for people and programs, written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from appliance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_target(path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
    """See early that a file can be written there, before work is done for it. Raises UsageError in one clear line.

    inputs  files that are read by the same command: none of them is overwritten
    """
    target = Path(path)
    for source in inputs:
        if _same(target, Path(source)):
            raise UsageError(f"{target}: it is read by this command and would be overwritten; name another file to write")
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        raise UsageError(f"{target}: cannot be written: {_cause(error)}; choose another place") from error
    if mode is not None and stat.S_ISDIR(mode):
        raise UsageError(f"{target}: a directory, not a file; name a file in it")
    if mode is not None and not stat.S_ISREG(mode):
        raise UsageError(f"{target}: a device or pipe, not a file; name a file")
    folder = target.resolve().parent
    if not folder.is_dir():
        raise UsageError(f"{target}: cannot be written: there is no folder {folder.name!r}; make it, or choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{target}: cannot be written: no permission in its folder; choose another place, or check its owner")


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file; on any failure an existing one stays as it was and nothing else is left. Raises UsageError."""
    target = Path(path).resolve()  # a link stays a link
    temporary: Path | None = None
    try:
        number, name = mkstemp(dir=target.parent, prefix=f".{target.name}.")
        temporary = Path(name)
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(number, 0o666 & ~_umask())
            os.fsync(number)
        temporary.replace(target)
        temporary = None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {_cause(error)}; choose another place or make room") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Names in a folder are on the disk when this returns: what was renamed there stays so. Raises OSError."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _same(target: Path, source: Path) -> bool:
    try:
        return target.samefile(source)
    except (OSError, ValueError):  # one of them is not there
        return False


def _cause(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
