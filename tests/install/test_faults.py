"""What happens to a box, and what its operator sees: disks, ports and files that fail (docs/robustness.md)."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.install.box import UNITS, until
from tests.install.deb import built
from tests.install.polling import PERIOD, Polling
from tests.install.story import watches, writes
from tests.lab.gate import CLIENT
from tests.lab.net import ip_batch
from tests.lab.wires import entered
from tests.unit.certificates import Authority
from tests.unit.receivers import RSYSLOGD, Rsyslogd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.install.box import Box
    from tests.lab.gate import Gate

pytestmark = pytest.mark.install
STATE = "/var/lib/sekisho"


@pytest.fixture(scope="module")
def polls(gate: Gate) -> Iterator[Polling]:
    with Polling(gate) as polling:
        yield polling


@pytest.fixture(scope="module")
def watching(box: Box, polls: Polling) -> Box:
    """The appliance on a disk of 64 MiB of its own, set up, learned, watching."""
    box.ok(f"mkdir -p {STATE} && mount -t tmpfs -o size=64m,mode=1770 state {STATE}")
    box.ok(f"apt-get install -y --no-install-recommends /srv/{built().name}", timeout=300)
    box.ok("sekisho setup --interface c0 --interface s0 --mode mirror --lang en --learn-for 20s --start", timeout=180)
    watches(box)
    return box


def attack(gate: Gate, number: int) -> str:
    """A write by an address that was never seen; returns that address."""
    source = f"10.77.1.{number}"
    ip_batch([f"address add {source}/24 dev e0"], gate.client)
    assert writes(gate, source, number), "the plant stands"
    return source


@contextlib.contextmanager
def no_memory(box: Box, pid: int) -> Iterator[Callable[[], bool]]:
    """From now on this process of the box gets next to no memory; gives what tells whether the kernel has killed it for that."""
    memory = Path("/sys/fs/cgroup/memory")
    if not (memory / "memory.oom_control").exists():
        pytest.skip("the machine has no memory controller that a test may use beside systemd's")
    group = memory / f"sekisho-install-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text("65536")
        (group / "cgroup.procs").write_text(str(box.outside(pid)))
        yield lambda: "oom_kill 0" not in (group / "memory.oom_control").read_text().splitlines()
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            (memory / "cgroup.procs").write_text(left)
        until("nobody is in the group", lambda: not (group / "cgroup.procs").read_text(), 30)
        group.rmdir()


def learned_anew(box: Box) -> None:
    """The processes begin anew under a clock of their own (`shifted`), with the plant as it is now for normal."""
    box.ok(f"systemctl stop 'sekisho*' && rm -rf {STATE}/* && mkdir -p /srv/shifted")
    (box.root / "srv/shifted.py").write_bytes((Path(__file__).parent / "shifted.py").read_bytes())
    (box.root / "srv/clock").write_text("0 0\n")
    for name in UNITS:
        start = f"/usr/lib/sekisho/bin/python3 -I /srv/shifted.py {name} --config /etc/sekisho/sekisho.toml"
        folder = box.root / f"etc/systemd/system/sekisho-{name}.service.d"
        folder.mkdir()
        (folder / "shifted.conf").write_text(f"[Service]\nExecStart=\nExecStart={start}\n")
    box.ok("systemctl daemon-reload && systemctl start sekisho.target")
    watches(box)


def of_the_plant(box: Box, before: set[str], polls: Polling, *sources: str) -> list[str]:
    """Titles of new incidents about client and device.

    Not of who attacked, nor of the ports' own IPv6 that so short learning missed, nor of pace where the client was late itself.
    """
    new = [i for i in box.incidents() if i["id"] not in before]
    told = [i["title"] for i in new if not set(sources) & set(i["assets"]) and CLIENT in i["assets"]]
    return [title for title in told if "another pace" not in title or polls.longest < 3 * PERIOD]


def clock_of(box: Box) -> int:
    """Seconds by which the clock of its processes is ahead."""
    return int((box.root / "srv/clock").read_text().split()[-1])


def set_clock(box: Box, seconds: int) -> None:
    """Set the clock of its processes forward, or back."""
    later = box.root / "srv/clock.new"
    later.write_text((box.root / "srv/clock").read_text() + f"{time.time_ns()} {clock_of(box) + seconds}\n")
    later.rename(box.root / "srv/clock")


def told(box: Box, source: str) -> bool:
    """Whether there is an incident with that address."""
    return any(source in incident["assets"] for incident in box.incidents())


def status(box: Box) -> str:
    """What the operator sees."""
    return " ".join(box.sh("COLUMNS=200 sekisho status").stdout.split())


def shown(seen: str) -> str:
    """The problems in it."""
    return seen.rpartition(" problems ")[2][:300]


def test_words_come_from_a_worker_that_may_do_nothing(watching: Box, gate: Gate) -> None:
    source = attack(gate, 30)
    until("the incident", lambda: told(watching, source))
    until("its words", lambda: "Write Single Register" in watching.sh("sekisho incident list --format jsonl").stdout)
    accepted = watching.ok("systemctl show -p NAccepted --value sekisho-words.socket")
    assert int(accepted) >= 1
    assert "Failed with result" not in watching.sh("journalctl -o cat --no-pager -u 'sekisho-words@*'").stdout


def test_a_full_disk_costs_no_incident_and_is_told(watching: Box, gate: Gate) -> None:
    watching.sh(f"dd if=/dev/zero of={STATE}/filler bs=1M")
    source = attack(gate, 31)
    seen = until("a problem", lambda: s if "needs attention" in (s := status(watching)) and "make room" in s else "", 90, 1)
    print(f"\ndisk full: {shown(seen)}")
    watching.ok(f"rm {STATE}/filler")
    until("the incident is stored", lambda: told(watching, source))
    until("no problem any more", lambda: "make room" not in status(watching), 90, 1)


def test_a_disk_that_is_read_only_at_boot_is_told_and_taken_into_use_when_it_is_not(watching: Box, gate: Gate) -> None:
    watching.ok(f"systemctl stop 'sekisho*' && mount -o remount,ro {STATE} && systemctl start sekisho.target")
    seen = until("told", lambda: s if "cannot be written" in (s := status(watching)) else "", 60, 1)
    print(f"\nread-only at boot: {shown(seen)}")
    watches(watching)
    source = attack(gate, 32)
    until("it waits in memory", lambda: re.search(r"[1-9][0-9]* records wait", status(watching)), 60, 1)
    watching.ok(f"mount -o remount,rw {STATE}")
    until("the incident is stored", lambda: told(watching, source), 120)
    until("the store is no problem any more", lambda: "wait in memory" not in status(watching), 60, 1)
    watching.ok(
        "systemctl restart sekisho-sensor"
    )  # it sees disks as they were when it was started: so its packets' problem says
    until("no problem any more", lambda: "cannot be written" not in status(watching), 60, 1)
    assert "Traceback" not in watching.sh("journalctl -o cat -u 'sekisho-*'").stdout


@pytest.mark.parametrize("name", ["keeper", "sensor"])
def test_what_the_kernel_kills_for_want_of_memory_comes_back_and_what_it_had_acknowledged_is_there(
    watching: Box, gate: Gate, polls: Polling, name: str
) -> None:
    kept, pid, lost = {i["id"] for i in watching.incidents()}, watching.processes()[name], polls.mark()[1]
    with no_memory(watching, pid) as killed:
        source = attack(gate, {"keeper": 35, "sensor": 36}[name])
        until(f"the kernel kills the {name}", killed, 60, 0.2)
        begun = time.monotonic()
        until(f"the {name} is back", lambda: watching.processes().get(name, pid) != pid, 60, 0.2)
        print(f"\n{name} killed for want of memory: back after {time.monotonic() - begun:.1f} s")
    watches(watching)
    # what a sensor had not told died with it: who goes on writing is found
    until("the incident", lambda: told(watching, source) or (name == "sensor" and not writes(gate, source, 1)), 60, 2)
    assert kept <= {i["id"] for i in watching.incidents()}
    assert polls.lost == lost


def test_a_port_that_is_missing_at_boot_is_watched_when_it_comes(watching: Box, gate: Gate) -> None:
    watching.ok("systemctl stop 'sekisho*'")
    ip_batch(["link set s0 down", "link set s0 name lost0"], gate.gate)
    watching.ok("systemctl start sekisho.target")
    seen = until("told", lambda: s if "s0: " in (s := status(watching)) and "not watched" in s else "", 60, 1)
    print(f"\nport missing: {shown(seen)}")
    ip_batch(["link set lost0 name s0", "address replace 10.77.2.1/24 dev s0", "link set s0 up"], gate.gate)
    watches(watching)


def test_a_broken_store_is_set_aside_and_told(watching: Box, gate: Gate) -> None:
    watching.ok("systemctl stop sekisho-keeper")
    watching.ok(f"rm -f {STATE}/keeper.sqlite-wal {STATE}/keeper.sqlite-shm")
    watching.ok(f"dd if=/dev/urandom of={STATE}/keeper.sqlite bs=1k count=8 conv=notrunc")
    watching.ok("systemctl start sekisho-keeper")
    seen = until("told", lambda: s if "set aside" in (s := status(watching)) else "", 60, 1)
    print(f"\nstore broken: {shown(seen)}")
    source = attack(gate, 33)
    until("the next incident is stored", lambda: told(watching, source))


def test_a_broken_baseline_is_replaced_by_its_copy_and_told(watching: Box, gate: Gate) -> None:
    watching.ok("systemctl stop sekisho-sensor")
    watching.ok(f"dd if=/dev/urandom of={STATE}/baseline bs=100 seek=5 count=2 conv=notrunc")
    watching.ok("systemctl start sekisho-sensor")
    seen = until("told", lambda: s if "baseline cannot be used" in (s := status(watching)) else "", 60, 1)
    print(f"\nbaseline broken: {shown(seen)}")
    source = attack(gate, 34)
    until("it still watches", lambda: told(watching, source))


def test_without_a_baseline_and_its_copy_the_others_go_on(watching: Box) -> None:
    watching.ok(
        f"systemctl stop sekisho-sensor && rm -f {STATE}/baseline.sound* && dd if=/dev/urandom of={STATE}/baseline bs=1k count=1"
    )
    watching.sh("systemctl start sekisho-sensor")
    until("one line says so", lambda: "not a baseline or damaged" in watching.sh("journalctl -o cat -u sekisho-sensor").stdout)
    assert "Traceback" not in watching.sh("journalctl -o cat -u 'sekisho-*'").stdout
    assert {"opener", "keeper"} <= watching.processes().keys()


def test_a_clock_that_is_set_while_it_watches_is_told_and_makes_nothing_silent(box: Box, gate: Gate, polls: Polling) -> None:
    learned_anew(box)
    for number, step in enumerate((300, 86_400, -86_700), 40):
        before = {i["id"] for i in box.incidents()}
        polls.mark()
        set_clock(box, step)
        seen = until("told", lambda s=step: t if f"was set by {s:+,} s" in (t := status(box)) else "", 30, 1)  # type: ignore[misc]
        print(f"\nclock set by {step:+} s: {shown(seen)}")
        source = attack(gate, number)
        until("the incident", lambda s=source: told(box, s))  # type: ignore[misc]
        time.sleep(15)  # silence is told after ten seconds
        assert of_the_plant(box, before, polls, source) == []
        new = [i for i in box.incidents() if i["id"] not in before]
        assert all(abs(i["opened"] - time.time() - clock_of(box)) < 60 for i in new)


def test_a_clock_that_is_wrong_at_boot_is_told_and_put_right_without_an_alarm(box: Box, gate: Gate, polls: Polling) -> None:
    before, years = {i["id"] for i in box.incidents()}, 20 * 365 * 86_400
    polls.mark()
    box.ok("systemctl stop 'sekisho*'")
    set_clock(box, -years)
    box.ok("systemctl start sekisho.target")
    watches(box)
    seen = until("told", lambda: s if "cannot be right" in (s := status(box)) else "", 60, 1)
    print(f"\nclock wrong at boot: {shown(seen)}")
    first = attack(gate, 43)
    until("the incident", lambda: told(box, first))
    set_clock(box, years)
    until("told", lambda: f"was set by {years:+,} s" in (s := status(box)) and "cannot be right" not in s, 30, 1)
    second = attack(gate, 44)
    until("the incident", lambda: told(box, second))
    time.sleep(15)
    assert of_the_plant(box, before, polls, first, second) == []


@pytest.mark.skipif(not RSYSLOGD, reason="rsyslogd is not installed; next step: .ci/debian rsyslog rsyslog-openssl")
def test_a_receiver_that_is_away_for_days_gets_all_of_it_in_order_when_it_is_back(box: Box, gate: Gate, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with entered(gate.gate):
        siem = Rsyslogd(tmp_path, authority.pair("localhost"), authority.path)
        siem.start()
    try:
        (box.root / "etc/sekisho/siem-ca.pem").write_bytes(authority.path.read_bytes())
        with (box.root / "etc/sekisho/sekisho.toml").open("a") as config:
            config.write(f'\n[report]\n[report.to.siem]\nkind = "syslog"\nhost = "localhost"\nport = {siem.port}\n')
            config.write('ca = "/etc/sekisho/siem-ca.pem"\n')
        box.ok("systemctl restart sekisho.target")
        watches(box)
        sources = [attack(gate, 46)]
        until("the SIEM has it", lambda: sources[0] in " ".join(siem.messages()))
        siem.kill()
        for number in (47, 48, 49):
            sources.append(attack(gate, number))
            until("the incident", lambda: told(box, sources[-1]))
        set_clock(box, 3 * 86_400)
        sources.append(attack(gate, 50))
        seen = until("told", lambda: s if "reports wait: siem" in (s := status(box)) else "", 60, 1)
        print(f"\nthree days without a receiver: {shown(seen)}")
        box.ok(f"kill -9 {box.processes()['reporter']}")
        until("the reporter is back", lambda: "reporter" in box.processes())
        with entered(gate.gate):
            siem.start()
        until("the SIEM has all", lambda: all(source in " ".join(siem.messages()) for source in sources), 150)
        numbers = [body["metadata"]["sequence"] for body in siem.bodies()]
        assert numbers == sorted(numbers)
        assert set(numbers) == set(range(1, max(numbers) + 1))
        until("no problem any more", lambda: "reports wait" not in status(box), 60, 1)
    finally:
        siem.kill()
