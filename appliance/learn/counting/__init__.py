"""Sufficient statistics: rows under a structure (counts), pairs (sparse), and at most so many in a second (quota)."""
