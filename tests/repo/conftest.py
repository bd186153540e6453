"""Prints at the end of a run what grew past the house's sizes: a smell to look at, not an error."""

import pytest

from tests.repo.tree import ROOT, oversize


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists the oversized files and functions of the package."""
    rows = oversize() if (ROOT / ".git").exists() else []
    if rows:
        terminalreporter.section("larger than the house likes (a second look, not an error)")
        for row in rows:
            terminalreporter.write_line(row)
