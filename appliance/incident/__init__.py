"""Findings that belong together become **incidents** (`grouping`), and incidents are told to people (`telling`)."""
