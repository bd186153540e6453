"""One box for the whole story of a module."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.install import tree
from tests.install.box import Box
from tests.install.deb import built
from tests.lab.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """A client and a device; the box stands between them as a router."""
    reason = tree.why_not()
    if reason:
        pytest.skip(reason)
    with Gate("inst", bridge=False) as made:
        yield made


@pytest.fixture(scope="module")
def box(gate: Gate) -> Iterator[Box]:
    """A booted Debian 12 without the package."""
    root = tree.cache() / f"box-{os.getpid()}"
    for old in tree.cache().glob("box-*"):
        if not Path(f"/proc/{old.name.removeprefix('box-').partition('.')[0]}").exists():
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()
    try:
        tree.lay_out(root, built())
    except tree.TreeError as error:
        pytest.skip(str(error))
    made = Box(root, gate.gate)
    try:
        made.boot()
        yield made
    finally:
        made.remove()
