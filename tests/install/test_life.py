"""The life of an appliance, told in order: installed, set up, learns, tells, is killed, loses power, is upgraded, is removed."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.install.box import until
from tests.install.deb import ROOT, built, under_version
from tests.install.polling import Polling
from tests.install.story import KEPT, PARTS, in_force, left_by_purge, policy, watches, writes
from tests.lab.gate import STRANGER
from tests.monitoring.running import Prometheus, asked, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.install.box import Box
    from tests.lab.gate import Gate

pytestmark = pytest.mark.install
CAPABILITIES = {"opener": 1 << 13 | 1 << 12, "enforcer": 1 << 12}  # NET_RAW, NET_ADMIN


@pytest.fixture(scope="module")
def polls(gate: Gate) -> Iterator[Polling]:
    with Polling(gate) as polling:
        yield polling


def test_apt_installs_it_and_nothing_runs_yet(box: Box, polls: Polling) -> None:
    begun = time.monotonic()
    said = box.ok(f"apt-get install -y --no-install-recommends /srv/{built().name}", timeout=300)
    print(f"\napt install: {time.monotonic() - begun:.1f} s")
    assert "next step: sekisho setup" in said
    assert box.processes() == {}
    assert box.sh("systemctl --failed --no-legend --plain").stdout == ""
    assert box.ok("sekisho --version").startswith("sekisho ")


def test_setup_writes_a_configuration_and_starts_it(box: Box, polls: Polling) -> None:
    begun = time.monotonic()
    box.ok("sekisho setup --interface c0 --interface s0 --mode router --lang en --learn-for 30s --start", timeout=180)
    until("all parts run", lambda: box.processes().keys() >= PARTS)
    until("metrics", lambda: box.metrics().get("sekisho_interfaces_down") == 0 and box.metrics()["sekisho_frames_total"] > 0, 120)
    print(f"\nsetup to first metrics of traffic: {time.monotonic() - begun:.1f} s")
    box.ok("sekisho run --config /etc/sekisho/sekisho.toml --check")


def test_each_part_runs_as_a_user_of_its_own_without_privileges_it_does_not_need(box: Box) -> None:
    for name, pid in box.processes().items():
        status = dict(row.split(":", 1) for row in box.ok(f"cat /proc/{pid}/status").splitlines())
        assert box.ok(f"stat -c %U /proc/{pid}").strip() == f"sekisho-{name}"
        assert int(status["CapEff"], 16) == CAPABILITIES.get(name, 0), name
        assert status["NoNewPrivs"].strip() == "1"


def test_no_unit_is_looser_than_the_document_says(box: Box) -> None:
    document = (ROOT / "docs/security.md").read_text()
    promised = {
        unit: float(score) for unit, score in re.findall(r"^\| (sekisho-[a-z-]+@?) \|.*?\| (\d\.\d) \|", document, flags=re.M)
    }
    assert len(promised) == 7
    for unit, score in promised.items():
        said = box.ok(f"systemd-analyze security --no-pager {unit.replace('@', '@x')}.service | tail -n 1")
        assert float(re.findall(r"(\d+\.\d)", said)[0]) <= score, f"{unit}: {said}"


def test_it_learns_from_the_polling_and_then_watches(box: Box, polls: Polling) -> None:
    watches(box)
    assert "10.77.2.2" in box.ok("sekisho baseline show /var/lib/sekisho/baseline")


def test_what_it_costs_when_nothing_happens(box: Box, polls: Polling) -> None:
    pids = " ".join(map(str, box.processes().values()))
    script = f"for p in {pids}; do cat /proc/$p/stat; grep ^write_bytes /proc/$p/io; grep ^VmRSS /proc/$p/status; done"
    first, begun = box.ok(script), time.monotonic()
    time.sleep(30)
    last, seconds = box.ok(script), time.monotonic() - begun

    def total(text: str, name: str) -> int:
        return sum(int(row.split()[1]) for row in text.splitlines() if row.startswith(name))

    def ticks(text: str) -> int:
        return sum(sum(map(int, row.rpartition(")")[2].split()[11:13])) for row in text.splitlines() if ") " in row)

    assert last.count("write_bytes") == len(box.processes())
    resident = total(last, "VmRSS") / 1024
    written = (total(last, "write_bytes") - total(first, "write_bytes")) / 1024  # no day is reckoned from this: see idle.py
    core = (ticks(last) - ticks(first)) / 100 / seconds
    print(f"\nidle at 10 polls/s: {resident:.0f} MiB resident in all, {core:.1%} of a core, {written:.0f} KiB written in 30 s")
    assert resident < 600
    assert core < 0.25


def test_an_attack_is_told(box: Box, gate: Gate, polls: Polling) -> None:
    assert writes(gate, STRANGER, 999)  # it only watches
    incident = until("the incident", lambda: next((i for i in box.incidents() if STRANGER in i["assets"]), None), 60)
    assert incident["id"] in box.sh("sekisho incident list").stdout


def test_with_a_policy_the_next_attack_is_blocked_and_the_polling_goes_on(box: Box, gate: Gate, polls: Polling) -> None:
    in_force(box, policy("router"))
    answered, lost = polls.mark()
    assert writes(gate, STRANGER, 998)  # the first one is what it is found by
    until("a block", lambda: STRANGER in box.sh("sekisho lease list").stdout)
    assert not writes(gate, STRANGER, 997)
    until("polls go on", lambda: polls.answered > answered + 30)
    assert polls.lost == lost


def test_a_prometheus_scrapes_it_and_sees_the_block(box: Box, gate: Gate, tmp_path: Path) -> None:
    with Prometheus(tmp_path, 9469, ("ip", "netns", "exec", gate.gate)) as prometheus:
        wait_for(lambda: prometheus.value("up") == 1, 30)
        until("frames are seen", lambda: (prometheus.value("rate(sekisho_frames_total[10s])") or 0) > 10, 30)
        seen = {name: prometheus.value(name) for name in ("sekisho_watching", "sekisho_leases", "sekisho_interfaces_down")}
        assert seen == {"sekisho_watching": 1, "sekisho_leases": 1, "sekisho_interfaces_down": 0}
        assert (prometheus.value("sekisho_incidents_total") or 0) >= 1
        empty = [query for _, query in asked() if not wait_for(lambda q=query: prometheus.query(q), 20)]
    assert empty == []


def test_killed_processes_come_back(box: Box, polls: Polling) -> None:
    for name, pid in box.processes().items():
        answered, lost = polls.mark()
        box.ok(f"kill -9 {pid}")
        begun = time.monotonic()
        until(f"{name} is back", lambda n=name, p=pid: box.processes().get(n, p) != p, 30, 0.1)  # type: ignore[misc]
        print(f"\n{name}: back after {time.monotonic() - begun:.1f} s")
        until("polls go on", lambda a=answered: polls.answered > a + 5)  # type: ignore[misc]
        assert polls.lost == lost, name
    watches(box)


def test_after_a_power_cut_it_has_what_it_had(box: Box, polls: Polling) -> None:
    before, told = box.ok(KEPT), {i["id"] for i in box.incidents()}
    rules = box.ok("nft list tables")
    box.cut()
    print(f"\nboot: {box.boot():.1f} s")
    until("all parts run", lambda: box.processes().keys() >= PARTS, 60)
    assert box.ok(KEPT) == before
    assert box.ok("nft list tables") == rules != ""
    assert told <= {i["id"] for i in until("incidents", box.incidents)}
    order = box.ok("systemctl show -p ActiveEnterTimestampMonotonic --value sekisho-enforcer-restore network-pre.target").split()
    assert int(order[0]) <= int(order[1])


def test_an_upgrade_keeps_everything_and_goes_on(box: Box, tmp_path: Path, polls: Polling) -> None:
    before, old, told = box.ok(KEPT), box.processes(), {i["id"] for i in box.incidents()}
    newer = under_version(built(), "99", tmp_path)
    (box.root / "srv" / newer.name).write_bytes(newer.read_bytes())
    answered, lost = polls.mark()
    begun = time.monotonic()
    box.ok(f"apt-get install -y /srv/{newer.name}", timeout=300)
    until("all parts run", lambda: box.processes().keys() >= PARTS, 60)
    print(f"\nupgrade: {time.monotonic() - begun:.1f} s")
    assert set(box.processes().values()).isdisjoint(old.values())
    assert box.ok(KEPT) == before
    assert told <= {i["id"] for i in until("incidents", box.incidents)}
    assert polls.lost == lost
    assert polls.answered > answered


def test_remove_stops_it_keeps_the_state_and_blocks_nothing(box: Box, gate: Gate, polls: Polling) -> None:
    assert "sekisho" in box.ok("nft list tables")
    box.ok("apt-get remove -y sekisho", timeout=180)
    assert box.processes() == {}
    assert box.ok("nft list tables") == ""
    assert writes(gate, STRANGER, 996)  # nothing stands in the way of anybody any more
    box.ok("test -s /var/lib/sekisho/baseline && test -s /etc/sekisho/sekisho.toml")
    assert box.sh("systemctl list-unit-files --no-legend 'sekisho*'").stdout == ""
    answered, lost = polls.mark()
    until("polls go on", lambda: polls.answered > answered + 20)
    assert polls.lost == lost


def test_purge_leaves_nothing(box: Box, polls: Polling) -> None:
    box.ok("apt-get purge -y sekisho", timeout=180)
    assert left_by_purge(box) == []
