"""Sekisho: an edge appliance that guards factory and building automation networks.

The data flow, room by room. Folder order is data order: a room imports from rooms above it in this list, never from one
below it; `make check` proves it. The core takes bytes and `now` and gives back values; only host/ and cli/ touch the
machine or a clock.

    errors      what can go wrong and by whose fault, one tree
    documents   YAML that people write, read strictly: every value with its line, no type until one is asked for
    packets     bytes of a capture file or a ring become batches: frozen sets of columns, one row per frame
    decode      a batch gets its Ethernet, IP, TCP and UDP columns, conversations and payloads; damage is a column
    learn       payloads become a baseline: topology, framing, templates, fields, timing, order, thresholds, adequacy
    detect      a batch held against a baseline gives findings: one deviation each, with its exact bytes
    protocols   third-party decoders turn bytes into words, only for people: detection never asks them
    explain     a finding gets where, what, why, ATT&CK technique and advice, in English and Japanese
    incident    findings that belong together become incidents with a life cycle
    decide      policy files and a baseline become rules, a generation at a time; which step answers an incident
    enforce     rules become nftables text: two generations side by side, leases, what the kernel lists
    report      findings and incidents become records (JSON lines), a story in text, a page in HTML
    commands    what the core may ask of the host, as plain values
    config      the configuration of the daemon, text to one frozen value
    pipeline    the whole flow on one screen: batch in, records out, the same live and offline
    host        the only room that opens files or sockets, starts processes or reads a clock
    cli         one file per verb
"""

__version__ = "0.1.0"
