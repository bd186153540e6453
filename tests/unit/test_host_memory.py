"""What a process keeps of the memory it has used."""

import subprocess
import sys

# In a process of its own: what malloc was told holds for all of it. `minor` is how many pages the system had to clear.
SCRIPT = """
import resource, sys
import numpy as np
from appliance.host.memory import keep

def columns():
    return len([np.ones(size << 16, np.uint8) for size in range(1, 20)])

def rounds():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        columns()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    keep()
columns()
print(rounds())
"""


def cleared(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True, timeout=60)
    return int(done.stdout)


def test_columns_that_were_freed_serve_the_next_ones_without_pages_of_the_system() -> None:
    once = 19 * 20 // 2 * 16  # pages of the columns of one round
    assert cleared("keep") < once < 10 * once < cleared("leave")
