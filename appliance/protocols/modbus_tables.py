"""Names of Modbus functions, sub-functions and exceptions, and the heads of the messages.

Sources: MODBUS Application Protocol V1.1b3 sections 6 and 7; 0x5A is Schneider's UMAS, known from its engineering tools.
"""

from __future__ import annotations

from appliance.protocols.shape import Field, Intent, named, show_be, show_hex

FUNCTIONS: dict[int, tuple[str, Intent]] = {
    1: ("Read Coils", Intent.READ),
    2: ("Read Discrete Inputs", Intent.READ),
    3: ("Read Holding Registers", Intent.READ),
    4: ("Read Input Registers", Intent.READ),
    5: ("Write Single Coil", Intent.WRITE),
    6: ("Write Single Register", Intent.WRITE),
    7: ("Read Exception Status", Intent.DIAGNOSE),
    8: ("Diagnostics", Intent.DIAGNOSE),
    11: ("Get Comm Event Counter", Intent.DIAGNOSE),
    12: ("Get Comm Event Log", Intent.DIAGNOSE),
    15: ("Write Multiple Coils", Intent.WRITE),
    16: ("Write Multiple Registers", Intent.WRITE),
    17: ("Report Server ID", Intent.IDENTIFY),
    20: ("Read File Record", Intent.READ),
    21: ("Write File Record", Intent.WRITE),
    22: ("Mask Write Register", Intent.WRITE),
    23: ("Read/Write Multiple Registers", Intent.WRITE),
    24: ("Read FIFO Queue", Intent.READ),
    43: ("Encapsulated Interface Transport", Intent.UNKNOWN),
    90: ("UMAS (Schneider engineering)", Intent.PROGRAM),
}

# Sub-functions of 8: two of them take a device off the line, the others count.
SUB_FUNCTIONS: dict[int, tuple[str, Intent]] = {
    0: ("Return Query Data", Intent.DIAGNOSE),
    1: ("Restart Communications", Intent.CONTROL),
    2: ("Return Diagnostic Register", Intent.DIAGNOSE),
    3: ("Change ASCII Input Delimiter", Intent.CONTROL),
    4: ("Force Listen Only Mode", Intent.CONTROL),
    10: ("Clear Counters and Diagnostic Register", Intent.CONTROL),
    11: ("Return Bus Message Count", Intent.DIAGNOSE),
    12: ("Return Bus Communication Error Count", Intent.DIAGNOSE),
    13: ("Return Bus Exception Error Count", Intent.DIAGNOSE),
    14: ("Return Server Message Count", Intent.DIAGNOSE),
    15: ("Return Server No Response Count", Intent.DIAGNOSE),
    16: ("Return Server NAK Count", Intent.DIAGNOSE),
    17: ("Return Server Busy Count", Intent.DIAGNOSE),
    18: ("Return Bus Character Overrun Count", Intent.DIAGNOSE),
    20: ("Clear Overrun Counter and Flag", Intent.CONTROL),
    21: ("Get/Clear Modbus Plus Statistics", Intent.DIAGNOSE),
}

MEI: dict[int, tuple[str, Intent]] = {
    13: ("CANopen General Reference", Intent.UNKNOWN),
    14: ("Read Device Identification", Intent.IDENTIFY),
}

EXCEPTIONS: dict[int, str] = {
    1: "Illegal Function",
    2: "Illegal Data Address",
    3: "Illegal Data Value",
    4: "Server Device Failure",
    5: "Acknowledge",
    6: "Server Device Busy",
    7: "Negative Acknowledge",
    8: "Memory Parity Error",
    10: "Gateway Path Unavailable",
    11: "Gateway Target Device Failed to Respond",
}

_COIL = {0x0000: "OFF", 0xFF00: "ON"}
_BYTES = Field("byte count", 8, 9, show_be)
_READ = (Field("starting address", 8, 10, show_be), Field("quantity", 10, 12, show_be))
_COIL_HEAD = (Field("coil address", 8, 10, show_be), Field("coil value", 10, 12, named(_COIL)))
_REGISTER_HEAD = (Field("register address", 8, 10, show_be), Field("register value", 10, 12, show_be))
_MASK = (Field("register address", 8, 10, show_be), Field("AND mask", 10, 12, show_hex), Field("OR mask", 12, 14, show_hex))
_SUB = (Field("sub-function", 8, 10, named({k: name for k, (name, _) in SUB_FUNCTIONS.items()})),)
_MEI = (Field("MEI type", 8, 9, named({k: name for k, (name, _) in MEI.items()})),)
_READ_WRITE = (
    Field("read starting address", 8, 10, show_be),
    Field("read quantity", 10, 12, show_be),
    Field("write starting address", 12, 14, show_be),
    Field("write quantity", 14, 16, show_be),
    Field("byte count", 16, 17, show_be),
)

# (function code, request) -> fields with fixed offsets; what follows them is values.
HEADS: dict[tuple[int, bool], tuple[Field, ...]] = {
    **{(code, True): _READ for code in (1, 2, 3, 4)},
    **{(code, False): (_BYTES,) for code in (1, 2, 3, 4, 23)},
    **{(5, way): _COIL_HEAD for way in (True, False)},
    **{(6, way): _REGISTER_HEAD for way in (True, False)},
    **{(8, way): _SUB for way in (True, False)},
    **{(code, True): (*_READ, Field("byte count", 12, 13, show_be)) for code in (15, 16)},
    **{(code, False): _READ for code in (15, 16)},
    **{(22, way): _MASK for way in (True, False)},
    (23, True): _READ_WRITE,
    (43, True): (*_MEI, Field("read device id code", 9, 10, show_be), Field("object id", 10, 11, show_be)),
    (43, False): (*_MEI, Field("read device id code", 9, 10, show_be), Field("conformity level", 10, 11, show_hex)),
}
