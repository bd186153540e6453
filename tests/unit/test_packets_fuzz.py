import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.frames import interface, packet, pcap, section, segment


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed (make fuzz installs it)")
def test_the_fuzz_target_starts_from_captures_and_finds_nothing_in_a_moment(root: Path, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "a").write_bytes(b"\x7e" + pcap([segment(1, b"abc"), segment(2, b"bcd")]))
    (seeds / "b").write_bytes(b"\x7e" + section() + interface() + packet(segment(1, b"abc")))
    target = root / "tests" / "fuzz" / "fuzz_capture.py"
    command = [sys.executable, str(target), "-runs=300", "-max_total_time=20", f"-artifact_prefix={tmp_path}/", str(seeds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "DONE" in done.stderr or "Done" in done.stderr
