"""Rules in a real kernel with a real client and server through it: what is refused, what goes on, what ends by itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pymodbus.exceptions import ModbusException

from appliance.decide.records import generation_json, generation_text
from appliance.decide.rules import Allow, Generation, Mode, Pattern, Protected, Service
from appliance.decode.framing import Framing
from appliance.enforce.listing import normalised
from appliance.errors import RulesError
from appliance.host.control import ENFORCER, ask
from appliance.host.enforcer.nft import Nft
from appliance.host.enforcer.shadow import shadow_from
from appliance.host.privileges import NET_ADMIN
from tests.lab.daemon import ROOT
from tests.lab.gate import SERVER, SIX, STRANGER, Gate
from tests.lab.rough import Master, Rough
from tests.lab.wires import entered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.lab

MODBUS = Service("tcp", 502)
READ = Pattern(0x0103_0000, 0x0103_00FF)  # unit 1, function 3, registers below 256
WRITE = (0x0106_0000, 0x0106_FFFF)
FRAMING = Framing(4, 2, True, 6)
READ_ONE = bytes.fromhex("000100000006010300000001")
WRITE_ONE = bytes.fromhex("000200000006010600000009")


def rules(gate: Gate, number: int, mode: Mode = Mode.ENFORCE, *, never: tuple[str, ...] = ()) -> Generation:
    """Reads by the client and nothing else."""
    sources = [gate.source] if gate.bridge else [gate.source, "fd77:1::2"]
    servers = [SERVER, SIX]
    allowed = tuple(
        Allow(ip_network(c), ip_network(s), MODBUS, 6, (READ,), (12,), framing=FRAMING)
        for c in sources
        for s in servers
        if (":" in c) == (":" in s)
    )
    return Generation(
        number,
        tuple(ip_network(n) for n in never),
        tuple(Protected(ip_network(s), MODBUS, mode) for s in servers),
        allowed,
        bridge=gate.bridge,
    )


class Office:
    """The enforcer as a process of its own in the gate's namespace."""

    def __init__(self, gate: Gate, folder: Path) -> None:
        self.gate, self.folder, self.socket = gate, folder, folder / "e.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "appliance", "enforcer", "--state", str(self.folder), "--socket", str(self.socket)]
        bridge = ["--bridge"] if self.gate.bridge else []
        self.process = subprocess.Popen(["ip", "netns", "exec", self.gate.gate, *command, *bridge], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                self.ask(verb="status")
            except RulesError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("the enforcer did not answer within 20 s")

    def once(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The enforcer's command for one act."""
        command = ["ip", "netns", "exec", self.gate.gate, sys.executable, "-m", "appliance", "enforcer", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def ask(self, **request: Any) -> dict[str, Any]:
        return ask(self.socket, request, ENFORCER, 30.0)

    def enforce(self, generation: Generation) -> None:
        self.ask(verb="apply", generation=generation_json(generation), seconds=60, by="test", force="test")
        self.ask(verb="confirm", by="test")

    def tables(self) -> list[str]:
        with entered(self.gate.gate):
            return [normalised(text) for text in Nft().listing(self.gate.bridge)]


@pytest.fixture(params=["router", "bridge"])
def gate(request: pytest.FixtureRequest, namespaces: None) -> Iterator[Gate]:
    with Gate(f"enf{request.param[0]}", bridge=request.param == "bridge") as made:
        yield made


@pytest.fixture
def office(gate: Gate, tmp_path: Path) -> Iterator[Office]:
    made = Office(gate, tmp_path)
    made.start()
    yield made
    made.kill()


def reads(gate: Gate, host: str = SERVER, source: str = "") -> bool:
    with gate.connect(host, source) as talk:
        try:
            return bool(talk.connected) and not talk.read_holding_registers(0, count=2).isError()
        except (ModbusException, OSError):
            return False


def writes(gate: Gate, value: int) -> bool:
    with gate.connect() as talk:
        try:
            return bool(talk.connected) and not talk.write_register(5, value).isError()
        except (ModbusException, OSError):
            return False


def value_of(gate: Gate, register: int = 5) -> int:
    with gate.connect() as talk:
        return int(talk.read_holding_registers(register, count=1).registers[0])


def raw(gate: Gate, *segments: bytes, wait: float = 0.0, source: str = "") -> bytes:
    """Bytes in segments of their own on one connection; what comes back within half a second."""
    with entered(gate.client):
        talk = socket.create_connection((SERVER, 502), 2, (source, 0) if source else None)
    with talk:
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk.settimeout(0.5)
        try:
            for segment in segments:
                talk.sendall(segment)
                time.sleep(wait)
            return talk.recv(300)
        except OSError:
            return b""


def test_a_forbidden_write_is_refused_and_reads_go_on(gate: Gate, office: Office) -> None:
    assert writes(gate, 11)
    office.enforce(rules(gate, 1))
    with gate.connect() as other:  # another conversation, open before and after
        polls = []
        for k in range(40):
            if k == 20:
                assert not writes(gate, 99)
            polls.append(not other.read_holding_registers(0, count=2).isError())
        assert all(polls)
    assert value_of(gate) == 11
    if not gate.bridge:
        assert reads(gate, SIX)
        assert not reads(gate, SERVER, STRANGER)  # nobody allowed it anything


def test_shadow_counts_and_lets_pass(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1, Mode.SHADOW))
    assert writes(gate, 23)
    with entered(gate.gate):
        text = Nft().listing(gate.bridge)[0]
    seen = {tuple(row[:2]): row[2:4] for row in office.ask(verb="shadow")["assets"]}
    assert seen[f"{SERVER}/32", "tcp/502"][1] >= 1
    assert seen[f"{SIX}/128", "tcp/502"] == [0, 0]
    assert gate.source in text.split("set g1_would4")[1].split("}")[0]


@pytest.mark.parametrize(
    "segments",
    [
        (READ_ONE + WRITE_ONE,),  # smuggled behind a read
        (WRITE_ONE[:7], WRITE_ONE[7:]),  # split before its function
        (READ_ONE[:5] + b"\x0c" + READ_ONE[6:], WRITE_ONE),  # a length that swallows the next message's head
        (WRITE_ONE[:1], WRITE_ONE[1:]),
        (READ_ONE + READ_ONE + WRITE_ONE,),
        (READ_ONE + WRITE_ONE[:7], WRITE_ONE[7:]),
    ],
    ids=["smuggled", "split", "lying-length", "first-byte", "third", "begun-behind"],
)
def test_a_write_does_not_come_through_in_disguise(gate: Gate, office: Office, segments: tuple[bytes, ...]) -> None:
    assert writes(gate, 31)
    office.enforce(rules(gate, 1))
    raw(gate, *segments, wait=0.05)
    assert value_of(gate) == 31


def test_requests_that_tcp_sends_again_as_one_segment_pass(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1))
    for count in (2, 3, 16):
        assert raw(gate, READ_ONE * count) != b""
    assert refused(gate) == 0
    assert raw(gate, READ_ONE * 17) == b""  # more than the kernel can look at


@pytest.mark.parametrize("seconds", [60])
def test_polling_over_a_line_that_loses_and_reorders_is_never_refused(gate: Gate, office: Office, seconds: int) -> None:
    office.enforce(rules(gate, 1))
    with Rough(gate) as line:
        master = Master(gate)
        time.sleep(seconds if not gate.bridge else seconds / 4)
        master.end()
    assert refused(gate) == 0
    assert (master.connections, master.lost, master.broken) == (1, 0, [])
    assert line.lost > line.seen / 100
    assert line.joined > 0  # else nothing was shown


def refused(gate: Gate) -> int:
    """Packets that the first generation refused."""
    with entered(gate.gate):
        text = Nft().listing(gate.bridge)[0]
    return int(text.split("counter g1_refused {")[1].split("packets ")[1].split()[0])


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


def test_an_unconfirmed_trial_ends_with_everybody_dead(gate: Gate, office: Office) -> None:
    assert writes(gate, 41)
    before = office.tables()
    office.ask(verb="apply", generation=generation_json(rules(gate, 1)), seconds=6, by="test", force="test")
    office.kill()
    assert not writes(gate, 42)
    assert value_of(gate) == 41
    assert wait_for(lambda: writes(gate, 43), 12)  # the kernel alone went back
    office.start()
    assert office.ask(verb="status")["trial"] is None
    assert "g1_" not in office.tables()[0]
    assert "g1_" not in before[0]


def test_rollback_gives_the_text_that_was_before(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1))
    before = office.tables()
    office.enforce(rules(gate, 2, Mode.SHADOW))
    assert office.tables() != before
    assert office.ask(verb="rollback", by="test")["generation"] == 1
    assert office.tables() == before
    assert not writes(gate, 51)


def lease(gate: Gate, step: str, seconds: int, **more: Any) -> dict[str, Any]:
    value = {
        "id": f"l-{step[:3]}",
        "step": step,
        "source": f"{gate.source}/32",
        "target": f"{SERVER}/32",
        "service": "tcp/502",
        "offset": 6,
        "pattern": list(WRITE),
        "until": time.time_ns() + seconds * 1_000_000_000,
        "reason": "test",
        "incident": "i-1",
    }
    return value | more


def test_a_lease_stops_one_function_and_ends_by_itself(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1, Mode.SHADOW))
    assert writes(gate, 61)
    office.ask(verb="lease", lease=lease(gate, "block function", 4), by="sensor")
    office.kill()
    assert not writes(gate, 62)
    assert reads(gate)
    assert wait_for(lambda: writes(gate, 63), 10)
    office.start()
    assert office.ask(verb="status")["leases"] == []
    assert "lease ended" in {a["what"] for a in office.ask(verb="acts", limit=20)["acts"]}


def test_quarantine_is_undone_and_what_is_never_blocked_is_refused(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1, Mode.SHADOW, never=("192.0.2.7/32",)))
    office.ask(verb="lease", lease=lease(gate, "quarantine pair", 60), by="sensor")
    assert not reads(gate)
    office.ask(verb="undo", id="l-qua", by="test")
    assert reads(gate)
    with pytest.raises(RulesError, match="never blocked"):
        office.ask(verb="lease", lease=lease(gate, "isolate", 60, source="192.0.2.7/32", target=None), by="sensor")
    assert reads(gate)


def test_death_and_meddling_change_nothing(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1))
    tables = office.tables()
    office.kill()
    assert office.tables() == tables
    assert not writes(gate, 71)
    assert reads(gate)
    office.start()
    assert office.tables() == tables
    with entered(gate.gate):
        Nft().run(f"delete table {'bridge' if gate.bridge else 'inet'} sekisho")
    assert wait_for(lambda: office.tables() == tables, 5)
    assert office.ask(verb="status")["healed"] == 1


def test_a_change_by_others_is_seen_also_when_a_lease_ends_in_the_same_moment(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1))
    tables = office.tables()
    office.ask(verb="lease", lease=lease(gate, "quarantine pair", 2), by="sensor")
    assert office.process is not None
    office.process.send_signal(signal.SIGSTOP)
    with entered(gate.gate):
        Nft().run(f"delete table {'bridge' if gate.bridge else 'inet'} sekisho")
    time.sleep(2.5)
    office.process.send_signal(signal.SIGCONT)
    assert wait_for(lambda: office.tables() == tables, 5)


def test_rules_come_back_at_boot_and_go_for_good(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1))
    tables = office.tables()
    office.ask(verb="lease", lease=lease(gate, "quarantine pair", 60), by="sensor")
    refused = office.once("--forget", "--socket", str(office.socket))
    assert refused.returncode == 2
    assert "an enforcer is running" in refused.stderr
    assert wait_for(lambda: office.tables() == tables, 5), "and lays them out again, as was said"
    office.kill()
    forgotten = office.once("--forget", "--socket", str(office.socket))
    assert (forgotten.returncode, forgotten.stdout) == (0, "our rules are removed, nothing is blocked any more\n")
    assert writes(gate, 91)
    assert office.once("--forget", "--socket", str(office.socket)).stdout == "there are no rules of ours\n"
    bridge = ["--bridge"] if gate.bridge else []
    assert office.once("--restore", "--state", str(office.folder), *bridge).returncode == 0
    assert office.tables() == tables
    assert not reads(gate)  # the lease had time left


def test_the_enforcer_keeps_one_capability(office: Office) -> None:
    assert office.process is not None
    lines = (Path("/proc") / str(office.process.pid) / "status").read_text(encoding="ascii").splitlines()
    assert next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm")) == 1 << NET_ADMIN


def test_the_gate_asks_the_kernel_what_shadow_has_seen(gate: Gate, office: Office, tmp_path: Path) -> None:
    if gate.bridge:
        pytest.skip("the same counters")
    files = {name: tmp_path / f"{name}.json" for name in ("now", "up", "down")}
    for name, number, mode in (("now", 1, Mode.SHADOW), ("up", 2, Mode.ENFORCE), ("down", 2, Mode.OBSERVE)):
        files[name].write_text(generation_text(rules(gate, number, mode)), encoding="utf-8")
    office.enforce(rules(gate, 1, Mode.SHADOW))
    with gate.connect() as talk:
        for _ in range(1200):
            talk.read_holding_registers(0, count=2)
    assert writes(gate, 11)
    seen = shadow_from(office.ask(verb="shadow"))
    four, six = (seen[ip_network(host), MODBUS] for host in (SERVER, SIX))
    assert four.requests >= 1201
    assert four.refused >= 1
    assert (six.requests, six.refused) == (0, 0)  # each asset for itself
    assert 0 < four.until - four.since < 60 * 10**9
    baseline = tmp_path / "b"
    learned = command("learn", ROOT / "pcaps" / "modbus-attack" / "train.pcap", "--baseline", baseline)
    assert learned.returncode == 0, learned.stderr
    common = ("--current", files["now"], "--baseline", baseline, "--cycle", "8h", "--by", "lab", "--socket", office.socket)
    up = command("policy", "promote", files["up"], *common)
    assert up.returncode == 1, up.stderr
    assert "shadow -> enforce: not yet" in up.stdout
    assert "0 of 3 full cycles were seen in shadow" in up.stdout
    assert "accepted requests would have been refused" in up.stdout
    assert up.stdout.count("requests were judged in shadow") == 1  # of the other asset; of this one there were enough
    direct = command("policy", "apply", files["up"], *common[4:])
    assert direct.returncode == 2
    assert f"{SERVER}/32 tcp/502: shadow -> enforce: 0 of 3 full cycles" in direct.stderr
    assert "(and 1 more); wait, see `sekisho policy promote`, or say why not with --force REASON" in direct.stderr
    assert office.ask(verb="status")["trial"] is None
    wrong = command("policy", "promote", files["up"], *common[2:])
    assert wrong.returncode == 2
    assert "generation 1 is in force, not 0" in wrong.stderr
    assert command("policy", "promote", files["down"], *common).returncode == 0  # down is always allowed
    assert office.ask(verb="status")["trial"] == 2
    assert command("policy", "rollback", *common[6:]).returncode == 0
    forced = command("policy", "apply", files["up"], "--force", "pump 3 is under attack", *common[6:])
    assert forced.returncode == 0, forced.stderr
    acts = office.ask(verb="acts", limit=10)["acts"]
    assert [a.get("force") for a in acts if a["what"] == "applied"] == ["pump 3 is under attack", None, "test"]
    assert [a["generation"] for a in acts if a["what"] == "apply refused"] == [2]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command of the appliance."""
    words = [sys.executable, "-m", "appliance", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)


MALFORMED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"apply"',
    b'{"verb":1}',
    b'{"verb":"flush"}',
    b'{"verb":"status","more":1}',
    b'{"verb":"apply"}',
    b'{"verb":"apply","generation":{},"seconds":60,"by":"x"}',
    b'{"verb":"apply","generation":null,"seconds":60,"by":"x"}',
    b'{"verb":"apply","generation":{"version":1},"seconds":"x","by":"x"}',
    b'{"verb":"confirm","by":""}',
    b'{"verb":"confirm","by":7}',
    b'{"verb":"confirm","by":"a\\nb"}',
    b'{"verb":"rollback","by":"' + b"x" * 200 + b'"}',
    b'{"verb":"lease","lease":{},"by":"x"}',
    b'{"verb":"lease","lease":[1],"by":"x"}',
    b'{"verb":"lease","lease":{"id":"x; flush ruleset"},"by":"x"}',
    b'{"verb":"undo","id":"nothing","by":"x"}',
    b'{"verb":"acts","limit":"many"}',
    b'{"verb":"renew","id":"x","until":1e999,"by":"x"}',
    b'{"verb":"apply","generation":{},"seconds":1e999,"by":"x"}',
    b'{"verb":"ends","after":1e999}',
    b'{"verb":"ends","after":' + b"9" * 30 + b"}",
    b'{"verb":"ends","after":null}',
    b"\xff\xfe\x00",
    b"[" * 5000,
]


def test_what_shadow_has_counted_goes_on_where_the_rule_is_the_same(gate: Gate, office: Office) -> None:
    def counted() -> tuple[int, int, int]:
        shadow = shadow_from(office.ask(verb="shadow"))[ip_network(SERVER), MODBUS]
        return shadow.requests, shadow.refused, shadow.since

    one = rules(gate, 1, Mode.SHADOW)
    office.enforce(one)
    assert writes(gate, 21)
    assert reads(gate)
    first = counted()
    assert (first[0] >= 2, first[1]) == (True, 1)
    elsewhere = tuple(p if p.server == ip_network(SERVER) else replace(p, mode=Mode.OBSERVE) for p in one.protected)
    office.ask(verb="apply", generation=generation_json(replace(one, number=2, protected=elsewhere)), seconds=60, by="test")
    assert writes(gate, 22)  # on trial
    office.ask(verb="confirm", by="test")
    second = counted()
    assert (second[0] > first[0], second[1]) == (True, 2)
    assert second[2] - first[2] < 2 * 10**9  # all of the time was watched, but for what laying out took
    office.kill()
    office.start()
    assert counted()[:2] == second[:2]
    with entered(gate.gate):
        Nft().run(f"delete table {'bridge' if gate.bridge else 'inet'} sekisho")
    assert wait_for(lambda: office.ask(verb="status")["healed"] == 1, 10)
    assert counted()[:2] == second[:2]  # as it was last read: what a foreign program left of it is not believed
    changed = tuple(replace(a, patterns=(READ, Pattern(*WRITE))) for a in one.allowed)
    office.ask(verb="apply", generation=generation_json(replace(one, number=3, allowed=changed)), seconds=60, by="test")
    assert counted()[:2] == (0, 0)
    office.ask(verb="rollback", by="test")


def test_malformed_requests_are_one_line_each_and_change_nothing(office: Office) -> None:
    tables = office.tables()
    for request in MALFORMED:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(8)
            peer.connect(str(office.socket))
            peer.sendall(request + b"\n")
            answer = json.loads(peer.makefile("rb").readline())
        assert answer["ok"] is False, request
        assert answer["error"]
        assert "\n" not in answer["error"]
    assert office.tables() == tables


def test_who_connects_and_says_nothing_keeps_nobody_waiting(gate: Gate, office: Office) -> None:
    office.enforce(rules(gate, 1))
    with contextlib.ExitStack() as silent:
        for _ in range(4):
            peer = silent.enter_context(socket.socket(socket.AF_UNIX))
            peer.connect(str(office.socket))
            peer.sendall(b'{"verb":')
        begin = time.monotonic()
        office.ask(verb="lease", lease=lease(gate, "quarantine pair", 60), by="sensor")
        assert time.monotonic() - begin < 4  # read one after the other, each of them would have cost five seconds


def test_who_is_no_operator_may_only_ask_for_leases(office: Office) -> None:
    office.folder.chmod(0o755)
    office.socket.chmod(0o666)
    for parent in office.folder.parents[:3]:
        parent.chmod(0o755)
    code = (
        "import json,os,socket,sys\nos.setuid(65534)\n"
        "s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);s.sendall(sys.argv[2].encode()+b'\\n');print(s.makefile().readline())"
    )
    for verb, allowed in (
        ({"verb": "status"}, True),
        ({"verb": "rollback", "by": "x"}, False),
        ({"verb": "acts", "limit": 5}, False),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, str(office.socket), json.dumps(verb)],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert json.loads(done.stdout)["ok"] is allowed


def test_fragments_to_a_protected_service_do_not_hide_a_function(gate: Gate, office: Office) -> None:
    if gate.bridge:
        pytest.skip("the client's kernel sends the fragments through a router here; the rule is the same text")
    assert writes(gate, 81)
    office.enforce(rules(gate, 1))
    with entered(gate.client):
        talk = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with talk:
        tcp = struct.pack(">HHIIBBHHH", 40000, 502, 1, 1, 0x50, 0x18, 512, 0, 0)
        body = tcp + WRITE_ONE
        for offset, part, more in ((0, body[:24], 0x2000), (3, body[24:], 0)):
            head = struct.pack(
                ">BBHHHBBH4s4s",
                0x45,
                0,
                20 + len(part),
                7,
                more | offset,
                64,
                6,
                0,
                socket.inet_aton(gate.source),
                socket.inet_aton(SERVER),
            )
            talk.sendto(head + part, (SERVER, 0))
    time.sleep(0.3)
    with entered(gate.gate):
        text = Nft().listing(False)[0]
    assert int(text.split("counter g1_fragments {")[1].split("packets ")[1].split()[0]) >= 1


def test_the_bridge_passes_what_is_no_ip(gate: Gate, office: Office) -> None:
    if not gate.bridge:
        pytest.skip("a router passes no frames that are not IP")
    office.enforce(rules(gate, 1))
    with entered(gate.client):
        near = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        near.bind(("e0", 0))
    with entered(gate.server):
        far = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        far.bind(("e0", 0))
    far.settimeout(2)
    with near, far:
        for kind, target in ((0x8892, "010ecf000000"), (0x88B8, "010ccd010000"), (0x88A4, "ffffffffffff")):
            frame = bytes.fromhex(target) + b"\x02\x5e\0\0\0\x77" + struct.pack(">H", kind) + os.urandom(46)
            near.send(frame)
            end = time.monotonic() + 2
            got = b""
            while time.monotonic() < end and got != frame:
                got = far.recv(2000)
            assert got == frame, hex(kind)
