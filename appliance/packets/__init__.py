"""Captures as columns.

A **source** (`source.CaptureSource`) is an opened input of which the kind is known. A **window** (`window.Window`) is the
one reused buffer its bytes pass through. A **walker** (`pcap.PcapWalker`, `pcapng.PcapngWalker`) finds the records in the
window. A **batch** (`batch.PacketBatch`) is what it found, as columns described by `schema.COLUMNS`, together with the
buffer they point into. `reader.batches` turns a source into batches. Nothing here opens a file.
"""
