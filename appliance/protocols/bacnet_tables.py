"""Names of BACnet services, link and network messages, with what they want.

Source: ANSI/ASHRAE 135-2020 clauses 6.2.4 (network messages), 13-17 (services), 21 (service choices), Annex J (BVLL).
"""

from __future__ import annotations

from appliance.protocols.shape import Intent

CONFIRMED: dict[int, tuple[str, Intent]] = {
    0: ("AcknowledgeAlarm", Intent.WRITE),
    1: ("ConfirmedCOVNotification", Intent.ANSWER),
    2: ("ConfirmedEventNotification", Intent.ANSWER),
    3: ("GetAlarmSummary", Intent.READ),
    4: ("GetEnrollmentSummary", Intent.READ),
    5: ("SubscribeCOV", Intent.SESSION),
    6: ("AtomicReadFile", Intent.PROGRAM),
    7: ("AtomicWriteFile", Intent.PROGRAM),
    8: ("AddListElement", Intent.WRITE),
    9: ("RemoveListElement", Intent.WRITE),
    10: ("CreateObject", Intent.PROGRAM),
    11: ("DeleteObject", Intent.PROGRAM),
    12: ("ReadProperty", Intent.READ),
    13: ("ReadPropertyConditional", Intent.READ),
    14: ("ReadPropertyMultiple", Intent.READ),
    15: ("WriteProperty", Intent.WRITE),
    16: ("WritePropertyMultiple", Intent.WRITE),
    17: ("DeviceCommunicationControl", Intent.CONTROL),
    18: ("ConfirmedPrivateTransfer", Intent.UNKNOWN),
    19: ("ConfirmedTextMessage", Intent.UNKNOWN),
    20: ("ReinitializeDevice", Intent.CONTROL),
    21: ("VT-Open", Intent.SESSION),
    22: ("VT-Close", Intent.SESSION),
    23: ("VT-Data", Intent.CONTROL),
    24: ("Authenticate", Intent.SESSION),
    25: ("RequestKey", Intent.SESSION),
    26: ("ReadRange", Intent.READ),
    27: ("LifeSafetyOperation", Intent.CONTROL),
    28: ("SubscribeCOVProperty", Intent.SESSION),
    29: ("GetEventInformation", Intent.READ),
    30: ("SubscribeCOVPropertyMultiple", Intent.SESSION),
    31: ("ConfirmedCOVNotificationMultiple", Intent.ANSWER),
    32: ("ConfirmedAuditNotification", Intent.ANSWER),
    33: ("AuditLogQuery", Intent.READ),
}

UNCONFIRMED: dict[int, tuple[str, Intent]] = {
    0: ("I-Am", Intent.ANSWER),
    1: ("I-Have", Intent.ANSWER),
    2: ("UnconfirmedCOVNotification", Intent.ANSWER),
    3: ("UnconfirmedEventNotification", Intent.ANSWER),
    4: ("UnconfirmedPrivateTransfer", Intent.UNKNOWN),
    5: ("UnconfirmedTextMessage", Intent.UNKNOWN),
    6: ("TimeSynchronization", Intent.CONTROL),
    7: ("Who-Has", Intent.SCAN),
    8: ("Who-Is", Intent.SCAN),
    9: ("UTCTimeSynchronization", Intent.CONTROL),
    10: ("WriteGroup", Intent.WRITE),
    11: ("UnconfirmedCOVNotificationMultiple", Intent.ANSWER),
    12: ("UnconfirmedAuditNotification", Intent.ANSWER),
    13: ("Who-Am-I", Intent.SCAN),
    14: ("You-Are", Intent.CONTROL),
}

LINK: dict[int, tuple[str, Intent]] = {
    0x00: ("BVLC-Result", Intent.ANSWER),
    0x01: ("Write-Broadcast-Distribution-Table", Intent.CONTROL),
    0x02: ("Read-Broadcast-Distribution-Table", Intent.DIAGNOSE),
    0x03: ("Read-Broadcast-Distribution-Table-Ack", Intent.ANSWER),
    0x04: ("Forwarded-NPDU", Intent.UNKNOWN),
    0x05: ("Register-Foreign-Device", Intent.SESSION),
    0x06: ("Read-Foreign-Device-Table", Intent.DIAGNOSE),
    0x07: ("Read-Foreign-Device-Table-Ack", Intent.ANSWER),
    0x08: ("Delete-Foreign-Device-Table-Entry", Intent.CONTROL),
    0x09: ("Distribute-Broadcast-To-Network", Intent.UNKNOWN),
    0x0A: ("Original-Unicast-NPDU", Intent.UNKNOWN),
    0x0B: ("Original-Broadcast-NPDU", Intent.UNKNOWN),
    0x0C: ("Secure-BVLL", Intent.UNKNOWN),
}

NETWORK: dict[int, tuple[str, Intent]] = {
    0x00: ("Who-Is-Router-To-Network", Intent.SCAN),
    0x01: ("I-Am-Router-To-Network", Intent.ANSWER),
    0x02: ("I-Could-Be-Router-To-Network", Intent.ANSWER),
    0x03: ("Reject-Message-To-Network", Intent.ERROR),
    0x04: ("Router-Busy-To-Network", Intent.ANSWER),
    0x05: ("Router-Available-To-Network", Intent.ANSWER),
    0x06: ("Initialize-Routing-Table", Intent.CONTROL),
    0x07: ("Initialize-Routing-Table-Ack", Intent.ANSWER),
    0x08: ("Establish-Connection-To-Network", Intent.CONTROL),
    0x09: ("Disconnect-Connection-To-Network", Intent.CONTROL),
    0x12: ("What-Is-Network-Number", Intent.SCAN),
    0x13: ("Network-Number-Is", Intent.ANSWER),
}

TYPES: dict[int, str] = {
    0: "Confirmed-Request",
    1: "Unconfirmed-Request",
    2: "Simple-ACK",
    3: "Complex-ACK",
    4: "Segment-ACK",
    5: "Error",
    6: "Reject",
    7: "Abort",
}

REJECTS: dict[int, str] = {
    0: "other",
    1: "buffer overflow",
    2: "inconsistent parameters",
    3: "invalid parameter data type",
    4: "invalid tag",
    5: "missing required parameter",
    6: "parameter out of range",
    7: "too many arguments",
    8: "undefined enumeration",
    9: "unrecognized service",
}

# Inside lists of ReadPropertyMultiple (14) and WritePropertyMultiple (16): context tag -> name, by nesting depth.
NESTED: dict[int, tuple[dict[int, str], dict[int, str]]] = {
    14: ({0: "object identifier"}, {0: "property identifier", 1: "property array index"}),
    16: (
        {0: "object identifier"},
        {0: "property identifier", 1: "property array index", 2: "property value", 3: "priority"},
    ),
}
