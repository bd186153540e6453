"""What every suite may use: the repository, the captures beside it, and how hard hypothesis searches."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# The same examples every run, so that a red test is red for everybody; SEKISHO_HYPOTHESIS=deep searches further.
settings.register_profile("fast", max_examples=10, deadline=None, derandomize=True)
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("SEKISHO_HYPOTHESIS", "fast"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of captures and tools that others recorded and that may not be copied into the repository."""
    folder = Path(os.environ.get("SEKISHO_SHARED", ROOT.parent / "shared"))
    if not (folder / "pcaps").is_dir():
        pytest.skip("the shared captures are not here: ../shared/pcaps does not exist")
    return folder
