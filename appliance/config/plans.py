"""[plans]: work plans that hold while it watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.config.table import Table

MOST = 64  # files


def read_plans(table: Table) -> tuple[str, ...]:
    """Whole paths of the work plans. Raises UsageError."""
    files = table.texts("files")
    if len(files) > MOST or len(set(files)) != len(files):
        raise table.wrong("files", f"names {len(files)} work plans; name at most {MOST} different ones")
    for path in files:
        if not path.startswith("/"):
            raise table.wrong("files", f"{path[:80]!r} does not begin with /; give the whole path")
    return files
