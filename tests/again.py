"""Prints the test files below a folder in which something failed in the last run; exit code 1 where there is none.

usage: again.py FOLDER

A file of the install test is one story: what comes later in it needs what came before, so no test of it can be tried alone.
"""

import json
import sys
from pathlib import Path

FAILED = Path(__file__).resolve().parents[1] / ".pytest_cache/v/cache/lastfailed"


def files(folder: str) -> list[str]:
    """Paths below `folder`, as pytest wrote them down; none where it wrote nothing."""
    try:
        failed = json.loads(FAILED.read_text())
    except FileNotFoundError:
        return []
    return sorted({path for test in failed if (path := test.partition("::")[0]).startswith(f"{folder.rstrip('/')}/")})


if __name__ == "__main__":
    found = files(sys.argv[1])
    print(*found)
    sys.exit(not found)
