"""Before any test is read: modules that tests share tell what an assertion compared, too."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite(
    *(f"tests.drivers.models.{name}" for name in ("conformance", "faults", "playing", "served"))
)

# A gate has one answer for one commit; new examples are looked for by `make fuzz`, with new seeds.
settings.register_profile("check", derandomize=True)
