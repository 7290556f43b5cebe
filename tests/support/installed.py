"""The tools that a test needs."""

import os

import pytest
from scripts import tools


def require(*names: str) -> None:
    """Go on when these tools are there, and wait for those that are being installed. Else skip the test; in CI fail.

    `make test` installs while the first tests run.
    """
    missing = [name for name in names if not tools.is_there_in_the_end(name)]
    if not missing:
        return
    message = f"not installed: {', '.join(missing)}; to run this test: python -m scripts.tools {' '.join(missing)}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
