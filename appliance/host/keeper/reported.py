"""What the reporter says of itself in `reporter.json`, for the snapshot.

It is another process, perhaps of another user, so what it wrote is looked at before it is passed on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
SNAPSHOT: Final = "reporter.json"  # in the runtime directory
MOST_BYTES: Final = 256 << 10
MOST: Final = 16  # destinations, and problems
SILENT_S: Final = 60.0  # it writes every 15 s at least; after so long it is taken to be gone
_MOST: Final = 1e15  # of a count or a time in seconds: beyond, or not a number at all, it says nothing
_NUMBERS = ("waiting", "oldest", "dropped", "last_sent")


def reported(path: Path, now: float) -> tuple[Json | None, list[Json], str]:
    """What it says, its problems, and why nothing is known of it ("": it is); `now` in s since the epoch."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(MOST_BYTES))
    except FileNotFoundError:
        return None, [], "it has said nothing yet"
    except (OSError, ValueError, RecursionError) as error:
        return None, [], f"{path} cannot be read ({' '.join(str(error).split())[:80]})"
    if not isinstance(said, dict) or _number(said.get("time")) is None:
        return None, [], f"{path} is none of ours"
    destinations = [
        {"name": _text(d.get("name"), 40), "kind": _text(d.get("kind"), 20), **{key: _number(d.get(key)) for key in _NUMBERS}}
        for d in _tables(said.get("destinations"))
    ]
    problems = [
        {"what": _text(p.get("what"), 400), "since": _number(p.get("since")) or now, "advice": _text(p.get("advice"), 400)}
        for p in _tables(said.get("problems"))
    ]
    age = now - float(said["time"])
    why = f"it has said nothing for {age:.0f} s" if age > SILENT_S else ""
    return {"destinations": destinations, "time": said["time"]}, problems, why


def _tables(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)][:MOST] if isinstance(value, list) else []


def _text(value: object, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
        return None
    return value
