"""What the tests of the command share: baselines learned once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.contract.cli import case, sekisho

Learned = Callable[[str], Path]


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """Gives the baseline of a case of the lab by its name."""
    folder = tmp_path_factory.mktemp("baselines")

    @cache
    def learn(name: str) -> Path:
        target = folder / f"{name}.baseline"
        done = sekisho("learn", case(name, "train"), "--baseline", target)
        assert (done.returncode, done.stderr) == (0, "")
        return target

    return learn


@pytest.fixture(scope="session")
def attacked(learned: Learned) -> Path:
    """The baseline of the lab plant that is attacked."""
    return learned("modbus-attack")


@pytest.fixture(scope="session")
def quiet(learned: Learned) -> Path:
    """The baseline of the lab plant in which nothing happens."""
    return learned("modbus-normal")
