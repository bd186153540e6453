"""Frames to columns: headers, addresses, flows, payloads.

A **frame** passes the layers `link`, `network` (with `fragments`) and `transport`, each of which moves on where the next
header begins and writes its columns (`columns.COLUMNS`). `identity` names the flow, `duplicates` finds what a mirror shows
twice, `tcp` follows the byte streams. `headers.decode` is all of that in order. Damage is a column, not an exception.
"""
