"""What is measured: captures, the protocol each speaks, and how it is cut into what is learned and what is changed."""

from binascii import crc_hqx
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.decode.conversation import Port
from tests.evaluate import grammars as g
from tests.evaluate.capture import TCP, UDP, Capture, load
from tests.evaluate.foreign import FOREIGN, foreign_plant
from tests.evaluate.strangers import DOSE, LINE, SKID, plant

ROOT = Path(__file__).resolve().parents[2]
HEAD = 0.6  # share of a capture that is learned, where it is not recorded in two parts
STRANGER_SECONDS = 600.0
Parts = tuple[Capture, Capture]
MakeGrammar = Callable[[Capture], g.Grammar]


@dataclass(frozen=True)
class Subject:
    """A capture in which fields are changed.

    parts      gives what is learned and what is changed
    grammar    given what is learned; most do not look at it
    quick      also measured by --quick
    """

    name: str
    parts: Callable[[], Parts]
    grammar: MakeGrammar
    quick: bool = False


def _pair(folder: Path) -> Callable[[], Parts]:
    return lambda: (load(folder / "train.pcap"), load(folder / "test.pcap"))


def _cut(path: Path) -> Callable[[], Parts]:
    return lambda: load(path).split(HEAD)


def _is(grammar: g.Grammar) -> MakeGrammar:
    return lambda _head: grammar


def _steady(name: str, port: tuple[int, int], mend: Callable[[bytes], bytes] | None = None) -> MakeGrammar:
    return lambda head: g.steady_bytes(head, port, name, mend)


def _phasor_mended(pay: bytes) -> bytes:
    """A message with the check of IEEE C37.118.2 (CRC-CCITT, beginning with ones) made right."""
    return pay[:-2] + crc_hqx(pay[:-2], 0xFFFF).to_bytes(2, "big")


def _stranger(text: bool, seed: int) -> Callable[[], Parts]:
    return lambda: plant(text, STRANGER_SECONDS, seed).split(HEAD)


def _foreign(name: str, seed: int) -> Callable[[], Parts]:
    return lambda: foreign_plant(name, STRANGER_SECONDS, seed).split(HEAD)


def own() -> list[Subject]:
    """Recorded by the project's lab, or made by `strangers`."""
    lab = ROOT / "pcaps"
    return [
        Subject("lab modbus-normal", _pair(lab / "modbus-normal"), _is(g.MODBUS), quick=True),
        Subject("lab enip-attack, clean part", _cut(lab / "enip-attack" / "train.pcap"), _is(g.ENIP), quick=True),
        Subject("lab bacnet-attack, clean part", _cut(lab / "bacnet-attack" / "train.pcap"), _is(g.BACNET), quick=True),
        Subject("lab unknown-protocol, clean part", _cut(lab / "unknown-protocol-attack" / "train.pcap"), _is(DOSE), quick=True),
        Subject("made up: Skid, binary with CRC", _stranger(False, 1), _is(SKID), quick=True),
        Subject("made up: Line, text with check", _stranger(True, 1), _is(LINE), quick=True),
        *(Subject(f"made up: {name}", _foreign(name, 1), _is(one.grammar)) for name, one in FOREIGN.items()),
    ]


def shared(folder: Path) -> list[Subject]:
    """Recorded by others; `folder` is the shared `pcaps`. Captures that are not there are left out."""
    cases, other = folder / "cases", folder / "other"
    pairs = [("modbus-clean", g.MODBUS), ("enip-clean", g.ENIP), ("bacnet-clean", g.BACNET)]
    out = [Subject(name, _pair(cases / name), _is(grammar), quick=True) for name, grammar in pairs]
    for path, grammar in _others():
        if (other / path).exists():
            name = path.rsplit(".", 1)[0].replace("__", ": ")
            out.append(Subject(name, _cut(other / path), grammar, "Plant1" in path))
    return out


def _others() -> list[tuple[str, MakeGrammar]]:
    return [
        ("modbus/iti__ModbusTCP.pcap", _is(g.MODBUS)),
        ("modbus/iti__modbus_test.pcap", _is(g.MODBUS)),
        ("modbus/lemay__channel_4d_12s.pcap", _is(g.MODBUS)),
        ("modbus/plc4x__manual-test-capture.pcapng", _is(g.MODBUS)),
        ("modbus/arkime__modbus.pcap", _is(g.MODBUS)),
        ("enip/emreekin__enip.pcap", _is(g.ENIP)),
        ("enip/emreekin__ControlLogix_FactoryTalk_HMI.pcap", _is(g.ENIP)),
        ("enip/cipdip__baseline_baseline_adapter.pcap", _is(g.ENIP)),
        ("enip/cipdip__baseline_churn_adapter.pcap", _is(g.ENIP)),
        ("enip/cipdip__baseline_mixed_adapter.pcap", _is(g.ENIP)),
        ("enip/cipdip__baseline_stress_adapter.pcap", _is(g.ENIP)),
        ("enip/cipdip__baseline_io_adapter.pcap", _steady("CIP I/O", (UDP, 2222))),
        ("enip/iti__CL5000EIP-Firmware_Change_Failure.pcap", _is(g.ENIP)),
        ("enip/iti__CL5000EIP-Control_Protocol_Change_Attempt.pcap", _is(g.ENIP)),
        ("bacnet/emreekin__bacnet-services.pcap", _is(g.BACNET)),
        ("s7comm/ctsamples__Plant1_S7comm.pcap", _is(g.S7)),
        ("s7comm/iti__tia_s300_goOnline.pcapng", _is(g.S7)),
        ("s7comm/iti__wrapup.pcapng", _steady("IEEE C37.118 (phasors)", (TCP, 4712), _phasor_mended)),
        ("s7comm/iti__step7_s300_readDiagData.pcapng", _is(g.S7)),
        ("s7comm/plc4x__manual-test-capture.pcapng", _is(g.S7)),
        ("s7comm/iti__wincc_s300_setup-alarm-read.pcapng", _is(g.S7)),
        ("opcua/icsnpp__open62541_browse_request_with_results.pcap", _is(g.OPCUA)),
        ("opcua/icsnpp__open62541_client-server_mainloop.pcap", _is(g.OPCUA)),
        ("profinet/plc4x__working-profinet-recording-plc4x.pcapng", _is(g.PROFINET_RT)),
        ("profinet/icsnpp__profinet_io_cm.pcap", _is(g.PROFINET_CM)),
    ]


# Services by which a protocol is recognised for the coverage table, and the folders of captures that may speak it.
PROTOCOLS: tuple[tuple[str, frozenset[Port]], ...] = (
    ("Modbus/TCP", frozenset({(6, 502)})),
    ("EtherNet/IP", frozenset({(6, 44818), (17, 44818)})),
    ("CIP I/O", frozenset({(17, 2222)})),
    ("BACnet/IP", frozenset({(17, 47808)})),
    ("S7comm, S7comm-plus", frozenset({(6, 102)})),
    ("OPC UA binary", frozenset({(6, 4840)})),
    ("PROFINET CM", frozenset({(17, 34964)})),
    ("PROFINET RT, DCP", frozenset({(-1, 0x8892)})),
    ("DNP3", frozenset({(6, 20000), (17, 20000)})),
    ("GOOSE", frozenset({(-1, 0x88B8)})),
    ("DOSE (made up, lab)", frozenset({(6, 4410)})),
)


def coverage_files(pcaps: Path | None) -> list[Path]:
    """Captures looked at for coverage: the lab's, the shared ones by protocol, and the DNP3 ones among the bad input."""
    own_files = sorted((ROOT / "pcaps").glob("*/train.pcap"))
    if pcaps is None:
        return own_files
    cases, other = sorted((pcaps / "cases").glob("*/train.pcap")), sorted((pcaps / "other").glob("*/*.pcap*"))
    return own_files + cases + [p for p in other if p.parent.name != "scan"] + sorted((pcaps / "evil").glob("*dnp3*"))
