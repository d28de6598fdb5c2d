"""A machine behind a real door, in the test's own folder."""

import pytest
from tests.gate.fake import serving


@pytest.fixture
def machine(tmp_path):
    with serving(tmp_path) as found:
        yield found
