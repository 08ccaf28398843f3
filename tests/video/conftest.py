"""What the tests of clips share."""

import pytest

from derain import load


@pytest.fixture(scope="session")
def restorer():
    """The default network."""
    return load(device="cpu", threads=1)
