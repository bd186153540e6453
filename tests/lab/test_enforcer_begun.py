"""An enforcer that was begun before anything was ever applied: at boot twice, by --restore and then to stay."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lab.daemon import ROOT
from tests.lab.wires import Wire

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lab


@pytest.mark.usefixtures("namespaces")
def test_it_begins_again_and_again_on_a_new_box(tmp_path: Path) -> None:
    config = tmp_path / "sekisho.toml"
    (tmp_path / "run").mkdir()
    config.write_text(
        f'[capture]\ninterfaces = ["w0"]\n[state]\ndirectory = "{tmp_path}/state"\nruntime = "{tmp_path}/run"\n'
        f'[enforce]\nposture = "enforce"\npolicy = "{tmp_path}/policy.yaml"\n'
    )
    with Wire("eb") as wire:
        command = ["ip", "netns", "exec", wire.near, sys.executable, "-m", "appliance", "enforcer", "--restore", "--config"]
        for _ in range(3):
            done = subprocess.run([*command, config], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
            assert (done.returncode, "generation 0 and 0 leases are in force" in done.stderr) == (0, True), done.stderr
