"""Programs of the lab; each runs as its own process in its own namespace and is steered by JSON lines on stdin."""
