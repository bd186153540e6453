"""Who is there, and who talks to whom.

topology    assets and conversations; groups has who joined which
roles       who serves where nobody saw a connection open: who repeats the other's numbers (repeats)
selfsaid    what devices say of themselves
"""
