"""The suite's own modules tell what an assertion compared, too."""

import pytest

pytest.register_assert_rewrite(
    *(f"tests.drivers.models.{name}" for name in ("conformance", "faults", "playing", "served"))
)
