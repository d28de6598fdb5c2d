"""Before any test is read: modules that tests share tell what an assertion compared, too."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite(
    *(f"tests.drivers.models.{name}" for name in ("conformance", "faults", "playing", "served"))
)

# How long an example takes is no property of what it shows: benches measure time. A gate has one
# answer for one commit; new examples are looked for by `make fuzz`, with new seeds.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("check", settings.get_profile("any"), derandomize=True)
settings.load_profile("any")
