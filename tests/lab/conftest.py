"""What tests of the lab share."""

from __future__ import annotations

import pytest

from tests.lab import net


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Network namespaces can be made here; whoever needs them is left out where not, with the reason."""
    if reason := net.can_build():
        pytest.skip(reason)
