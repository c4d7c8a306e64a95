"""A Hypothesis profile for all tests: no outcome depends on the speed of the machine.

It inherits from the profile that Hypothesis has loaded, which is deterministic under continuous integration.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("handinger", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("handinger")
