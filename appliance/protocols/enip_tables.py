"""Names of EtherNet/IP commands, CIP classes, services, states and PCCC functions, with what they want.

Sources: CIP Vol. 1 appendix A (services, general status) and chapter 5 (objects), CIP Vol. 2 chapter 2 (encapsulation),
Rockwell 1756-PM020 (Logix data access), 1770-6.5.16 (DF1/PCCC). The lock and mode services of the Logix controller
object (0x8E) are not published, nor are the memory (0x72) and the read lists (0xB2) that HMIs use; they are named by
what the tools do with them on the wire.
"""

from __future__ import annotations

from appliance.protocols.shape import Intent

COMMANDS: dict[int, tuple[str, Intent]] = {
    0x0000: ("NOP", Intent.SESSION),
    0x0001: ("Legacy Target Query", Intent.SCAN),
    0x0004: ("List Services", Intent.SCAN),
    0x0063: ("List Identity", Intent.SCAN),
    0x0064: ("List Interfaces", Intent.SCAN),
    0x0065: ("Register Session", Intent.SESSION),
    0x0066: ("Unregister Session", Intent.SESSION),
    0x006F: ("Send RR Data", Intent.UNKNOWN),
    0x0070: ("Send Unit Data", Intent.UNKNOWN),
    0x0072: ("Indicate Status", Intent.SESSION),
    0x0073: ("Cancel", Intent.SESSION),
}

CLASSES: dict[int, str] = {
    0x01: "Identity",
    0x02: "Message Router",
    0x04: "Assembly",
    0x05: "Connection",
    0x06: "Connection Manager",
    0x0F: "Parameter",
    0x37: "File",
    0x43: "Time Sync",
    0x47: "Device Level Ring",
    0x48: "QoS",
    0x67: "PCCC",
    0x68: "Program",
    0x6B: "Symbol",
    0x6C: "Template",
    0x72: "Controller Memory",
    0x74: "Controller Session",
    0x8B: "Wall Clock Time",
    0x8E: "Controller",
    0xA1: "Nonvolatile Storage",
    0xAC: "Controller Change Monitor",
    0xB2: "Read List",
    0xF4: "Port",
    0xF5: "TCP/IP Interface",
    0xF6: "Ethernet Link",
}

# Services that mean the same in every class.
SERVICES: dict[int, tuple[str, Intent]] = {
    0x01: ("Get Attributes All", Intent.READ),
    0x02: ("Set Attributes All", Intent.WRITE),
    0x03: ("Get Attribute List", Intent.READ),
    0x04: ("Set Attribute List", Intent.WRITE),
    0x05: ("Reset", Intent.CONTROL),
    0x06: ("Start", Intent.CONTROL),
    0x07: ("Stop", Intent.CONTROL),
    0x08: ("Create", Intent.PROGRAM),
    0x09: ("Delete", Intent.PROGRAM),
    0x0A: ("Multiple Service Packet", Intent.UNKNOWN),
    0x0D: ("Apply Attributes", Intent.WRITE),
    0x0E: ("Get Attribute Single", Intent.READ),
    0x10: ("Set Attribute Single", Intent.WRITE),
    0x11: ("Find Next Object Instance", Intent.IDENTIFY),
    0x15: ("Restore", Intent.CONTROL),
    0x16: ("Save", Intent.CONTROL),
    0x17: ("No Operation", Intent.SESSION),
    0x18: ("Get Member", Intent.READ),
    0x19: ("Set Member", Intent.WRITE),
    0x1A: ("Insert Member", Intent.WRITE),
    0x1B: ("Remove Member", Intent.WRITE),
    0x1C: ("Group Sync", Intent.SESSION),
}

_TAGS: dict[int, tuple[str, Intent]] = {
    0x4C: ("Read Tag", Intent.READ),
    0x4D: ("Write Tag", Intent.WRITE),
    0x4E: ("Read Modify Write Tag", Intent.WRITE),
    0x52: ("Read Tag Fragmented", Intent.READ),
    0x53: ("Write Tag Fragmented", Intent.WRITE),
    0x55: ("Get Instance Attribute List", Intent.IDENTIFY),
}

# Services from 0x4B on mean another thing in each class. None stands for a symbolic path (a tag).
CLASS_SERVICES: dict[int | None, dict[int, tuple[str, Intent]]] = {
    None: _TAGS,
    0x02: _TAGS,
    0x06: {
        0x4E: ("Forward Close", Intent.SESSION),
        0x52: ("Unconnected Send", Intent.UNKNOWN),
        0x54: ("Forward Open", Intent.SESSION),
        0x56: ("Get Connection Data", Intent.DIAGNOSE),
        0x57: ("Search Connection Data", Intent.DIAGNOSE),
        0x5A: ("Get Connection Owner", Intent.DIAGNOSE),
        0x5B: ("Large Forward Open", Intent.SESSION),
    },
    0x37: {
        0x4B: ("Initiate Upload", Intent.PROGRAM),
        0x4C: ("Initiate Download", Intent.PROGRAM),
        0x4D: ("Initiate Partial Read", Intent.PROGRAM),
        0x4E: ("Initiate Partial Write", Intent.PROGRAM),
        0x4F: ("Upload Transfer", Intent.PROGRAM),
        0x50: ("Download Transfer", Intent.PROGRAM),
        0x51: ("Clear File", Intent.PROGRAM),
    },
    0x67: {0x4B: ("Execute PCCC", Intent.UNKNOWN), 0x4D: ("Execute DH+", Intent.UNKNOWN)},
    0x68: _TAGS,
    0x6B: _TAGS,
    0x6C: _TAGS,
    0xA1: {0x4B: ("Update Firmware", Intent.PROGRAM), 0x4D: ("Firmware Transfer", Intent.PROGRAM)},
    0xB2: {
        0x08: ("Create Read List", Intent.SESSION),
        0x09: ("Delete Read List", Intent.SESSION),
        0x4C: ("Read List", Intent.READ),
        0x4E: ("Add to Read List", Intent.SESSION),
    },
    0x72: {0x4C: ("Read Memory", Intent.READ), 0x4D: ("Write Memory", Intent.WRITE)},
    0x8E: {0x4B: ("Lock Controller", Intent.PROGRAM), 0x4C: ("Unlock Controller", Intent.PROGRAM)},
}

# Classes whose attributes say what a device is: reading them is identification, not process data.
IDENTITY_CLASSES = frozenset({0x01, 0xF5, 0xF6})
# Classes that only engineering tools talk to with services of their own: logic and memory of the controller.
ENGINEERING_CLASSES = frozenset({0x68, 0x6A, 0x6D})
# Classes where every write is an act on the device itself.
DEVICE_CLASSES = frozenset({0x8B, 0x8E, 0xF4, 0xF5, 0xF6})

STATUS: dict[int, str] = {
    0x00: "Success",
    0x01: "Connection failure",
    0x02: "Resource unavailable",
    0x03: "Invalid parameter value",
    0x04: "Path segment error",
    0x05: "Path destination unknown",
    0x06: "Partial transfer",
    0x07: "Connection lost",
    0x08: "Service not supported",
    0x09: "Invalid attribute value",
    0x0A: "Attribute list error",
    0x0B: "Already in requested mode",
    0x0C: "Object state conflict",
    0x0E: "Attribute not settable",
    0x0F: "Privilege violation",
    0x10: "Device state conflict",
    0x11: "Reply data too large",
    0x13: "Not enough data",
    0x14: "Attribute not supported",
    0x15: "Too much data",
    0x16: "Object does not exist",
    0x1E: "Embedded service error",
    0x1F: "Vendor specific error",
    0x20: "Invalid parameter",
    0x26: "Path size invalid",
    0xFF: "General error",
}
STATUS_GOOD = frozenset({0x00, 0x06})

ENCAPSULATION_STATUS: dict[int, str] = {
    0x0000: "Success",
    0x0001: "Invalid command",
    0x0002: "Insufficient memory",
    0x0003: "Incorrect data",
    0x0064: "Invalid session handle",
    0x0065: "Invalid length",
    0x0069: "Unsupported protocol version",
}

ITEMS: dict[int, str] = {
    0x0000: "Null Address",
    0x000C: "List Identity",
    0x00A1: "Connected Address",
    0x00B1: "Connected Data",
    0x00B2: "Unconnected Data",
    0x0100: "List Services",
    0x8000: "Socket Address O->T",
    0x8001: "Socket Address T->O",
    0x8002: "Sequenced Address",
}

# (command, function) of PCCC; a function of None fits any.
PCCC: dict[tuple[int, int | None], tuple[str, Intent]] = {
    (0x06, 0x03): ("Diagnostic Status", Intent.IDENTIFY),
    (0x06, 0x00): ("Echo", Intent.DIAGNOSE),
    (0x0F, 0x00): ("Word Range Write", Intent.WRITE),
    (0x0F, 0x01): ("Word Range Read", Intent.READ),
    (0x0F, 0x02): ("Bit Write", Intent.WRITE),
    (0x0F, 0x26): ("Read-Modify-Write", Intent.WRITE),
    (0x0F, 0x3A): ("Set CPU Mode", Intent.CONTROL),
    (0x0F, 0x50): ("Download All Request", Intent.PROGRAM),
    (0x0F, 0x52): ("Download Completed", Intent.PROGRAM),
    (0x0F, 0x53): ("Upload All Request", Intent.PROGRAM),
    (0x0F, 0x55): ("Upload Completed", Intent.PROGRAM),
    (0x0F, 0x57): ("Initialize Memory", Intent.PROGRAM),
    (0x0F, 0x67): ("PLC-5 Typed Write", Intent.WRITE),
    (0x0F, 0x68): ("PLC-5 Typed Read", Intent.READ),
    (0x0F, 0x80): ("Change Mode", Intent.CONTROL),
    (0x0F, 0x8F): ("Apply Port Configuration", Intent.CONTROL),
    (0x0F, 0xA1): ("Protected Typed Logical Read, 2 address fields", Intent.READ),
    (0x0F, 0xA2): ("Protected Typed Logical Read", Intent.READ),
    (0x0F, 0xA7): ("Protected Typed File Read", Intent.PROGRAM),
    (0x0F, 0xA9): ("Protected Typed Logical Write, 2 address fields", Intent.WRITE),
    (0x0F, 0xAA): ("Protected Typed Logical Write", Intent.WRITE),
    (0x0F, 0xAB): ("Protected Typed Logical Write with Mask", Intent.WRITE),
    (0x0F, 0xAF): ("Protected Typed File Write", Intent.PROGRAM),
    (0x0F, 0x11): ("Get Edit Resource", Intent.PROGRAM),
    (0x0F, 0x12): ("Return Edit Resource", Intent.PROGRAM),
    (0x07, None): ("Initialize or Clear", Intent.PROGRAM),
    (0x08, None): ("Unprotected Write", Intent.WRITE),
    (0x01, None): ("Unprotected Read", Intent.READ),
    (0x00, None): ("Protected Write", Intent.WRITE),
}
