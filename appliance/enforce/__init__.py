"""Rules become kernel text: pure functions from a generation and the time to what nftables is told.

table: the policy, with the allowlist of learned messages and two generations side by side on trial. leases: steps in force
for a while, in a table of their own. changes: what the kernel is told, and how far it reaches. listing: what the kernel says it
has, compared. carrying: what shadow has counted goes on under new rules. desk: what may be done, and its records.
"""
