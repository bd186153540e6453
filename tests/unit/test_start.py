"""What a process loads is what it computes with: each one's memory and start are bought by the modules it imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cli.__main__ import main

NORMAL = Path(__file__).parents[2] / "pcaps" / "modbus-normal"
HEAVY = {"numpy", "sklearn", "scapy", "pyroute2", "pydantic", "pandas", "jinja2", "yaml", "pymodbus", "cpppo", "bacpypes3"}
DAEMONS = {
    "the supervisor": "appliance.host.supervisor, appliance.cli.run",
    "the keeper": "appliance.host.keeper.process, appliance.cli.process",
    "the enforcer": "appliance.host.enforcer.enforcer, appliance.cli.enforcing",
    "the reporter": "appliance.host.reporter.process, appliance.cli.reporter",
    "the opener": "appliance.host.capture.opener, appliance.cli.process",
    "the words worker before its first question": "appliance.host.sensor.words_worker",
    "the command before its verb": "appliance.cli.__main__",
}
DETECT = "appliance.cli.detect, appliance.cli.watching"


def loaded(modules: str) -> set[str]:
    """The top-level names that are there in a fresh interpreter after importing modules and reading a configuration."""
    code = f"import sys, {modules}\nprint(' '.join(name.partition('.')[0] for name in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("who", DAEMONS)
def test_who_does_not_compute_loads_nothing_to_compute_with(who: str) -> None:
    assert loaded(DAEMONS[who] + ", appliance.config") & HEAVY == set()


def test_detection_loads_arrays_and_nothing_else_that_is_heavy() -> None:
    assert loaded(DETECT) & HEAVY == {"numpy"}


def test_detection_loads_nothing_of_numpy_that_it_does_without(tmp_path: Path) -> None:
    base = tmp_path / "base"
    assert main(["learn", str(NORMAL / "train.pcap"), "--baseline", str(base)]) == 0
    verb = ["detect", str(NORMAL / "test.pcap"), "--baseline", str(base)]
    code = f"import sys\nfrom appliance.cli.__main__ import main\nmain({verb})"
    said = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint('numpy.ma' in sys.modules)"], check=True, capture_output=True, text=True
    )
    assert said.stdout.splitlines()[-1] == "False"
