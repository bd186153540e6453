"""One file per verb; each has `add(subparsers)` and `run(arguments) -> exit code`."""
