"""From the first package there was to today's, and over a change of the schema and back: what is kept, and what is refused."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.install.box import until
from tests.install.deb import BEFORE, built, previous, under_version
from tests.install.polling import Polling
from tests.install.story import KEPT, PARTS, in_force, policy, watches, writes
from tests.install.tree import TreeError
from tests.lab.gate import STRANGER
from tests.lab.net import ip_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.install.box import Box
    from tests.lab.gate import Gate

pytestmark = pytest.mark.install
IDENTITY = "sha256sum /var/lib/sekisho/*.key /var/lib/sekisho/*/*.key 2>/dev/null | sort"
RULES = "nft -s list ruleset | grep -v -e expires -e elements -e '@'"


@pytest.fixture(scope="module")
def polls(gate: Gate) -> Iterator[Polling]:
    with Polling(gate) as polling:
        yield polling


def installed(box: Box) -> str:
    return box.ok("dpkg-query -W -f '${Version}' sekisho")


def install(box: Box, package: Path, *options: str) -> float:
    """With apt, while it runs; returns how long until all parts run again."""
    (box.root / "srv" / package.name).write_bytes(package.read_bytes())
    begun = time.monotonic()
    box.ok(f"apt-get install -y --no-install-recommends {' '.join(options)} /srv/{package.name}", timeout=400)
    until("all parts run", lambda: box.processes().keys() >= PARTS, 60)
    return time.monotonic() - begun


def incidents(box: Box) -> dict[str, tuple[float, str]]:
    """Open incidents by id: when, and which addresses."""
    return {row["id"]: (row["opened"], " ".join(sorted(row["assets"]))) for row in box.incidents()}


def schema(box: Box, name: str = "keeper.sqlite") -> int:
    """Of a store in the box, by this machine's SQLite."""
    with closing(sqlite3.connect(f"file:{box.root}/var/lib/sekisho/{name}?mode=ro", uri=True)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def status(box: Box) -> str:
    return " ".join(box.sh("COLUMNS=200 sekisho status").stdout.split())


def test_todays_package_takes_over_all_that_the_first_one_kept(box: Box, gate: Gate, tmp_path: Path, polls: Polling) -> None:
    try:
        first = previous()
    except TreeError as error:
        pytest.skip(str(error))
    (box.root / "srv/first.deb").write_bytes(first.read_bytes())
    box.ok("apt-get install -y --no-install-recommends /srv/first.deb", timeout=400)
    assert installed(box) == BEFORE
    box.ok("sekisho setup --interface c0 --interface s0 --mode router --lang en --learn-for 30s --start", timeout=180)
    watches(box)
    assert writes(gate, STRANGER, 999)
    until("the incident", lambda: any(STRANGER in i["assets"] for i in box.incidents()))
    in_force(box, policy("router"))
    assert writes(gate, STRANGER, 998)
    until("a block", lambda: STRANGER in box.sh("sekisho lease list").stdout)
    before, keys, rules, told = box.ok(KEPT), box.sh(IDENTITY).stdout, box.ok(RULES), incidents(box)
    answered, lost = polls.mark()
    print(f"\nupgrade from {BEFORE}: {install(box, built()):.1f} s")
    assert installed(box) != BEFORE
    assert (box.ok(KEPT), box.sh(IDENTITY).stdout, box.ok(RULES)) == (before, keys, rules)
    watches(box)
    assert told.items() <= incidents(box).items()
    assert STRANGER in box.sh("sekisho lease list").stdout
    assert not writes(gate, STRANGER, 997)
    assert polls.lost == lost
    assert polls.answered > answered


def attacked(box: Box, gate: Gate, number: int) -> str:
    """A write by one more stranger."""
    source = f"10.77.1.{number}"
    ip_batch([f"address add {source}/24 dev e0"], gate.client)
    assert writes(gate, source, number)
    return source


def test_a_changed_schema_is_migrated_with_a_copy_and_going_back_is_refused(
    box: Box, gate: Gate, tmp_path: Path, polls: Polling
) -> None:
    if not box.processes():  # the first package could not be built here
        install_today(box)
    today, later, told = installed(box), under_version(built(), "98", tmp_path, schema=True), incidents(box)
    assert schema(box) == 1
    lost = polls.mark()[1]
    install(box, later)
    watches(box)
    assert (schema(box), schema(box, "keeper.sqlite.format-1")) == (2, 1)
    assert told.items() <= incidents(box).items()
    source = attacked(box, gate, 50)
    until("the incident", lambda: any(source in i["assets"] for i in box.incidents()))
    told = incidents(box)

    install(box, built(), "--allow-downgrades")
    assert installed(box) == today
    seen = until("told", lambda: s if "written by a newer sekisho" in (s := status(box)) else "", 60, 1)
    print(f"\nwent back: {seen.rpartition(' problems ')[2][:300]}")
    watches(box)  # and goes on
    source = attacked(box, gate, 51)
    time.sleep(5)
    assert schema(box) == 2

    install(box, later)
    watches(box)
    assert told.items() <= incidents(box).items()
    assert "newer" not in status(box)
    writes(gate, source, 1)  # what was in memory ended with the older one
    until("the incident", lambda: any(source in i["assets"] for i in box.incidents()))
    assert polls.lost == lost


def install_today(box: Box) -> None:
    """Installed and watching, without what went before."""
    box.ok(f"apt-get install -y --no-install-recommends /srv/{built().name}", timeout=400)
    box.ok("sekisho setup --interface c0 --interface s0 --mode router --lang en --learn-for 30s --start", timeout=180)
    watches(box)
