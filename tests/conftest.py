"""The same surroundings on every machine: no outcome depends on its speed, on luck, or on its environment variables.

``pytest --hypothesis-profile=search`` lets Hypothesis draw other examples in each run, ``few`` a quarter of the same.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True, database=None)
settings.register_profile("few", settings.get_profile("same"), max_examples=25)
settings.load_profile("same")

for name in list(os.environ):
    if name.lower().endswith("_proxy") or name.startswith("HANDINGER_"):
        del os.environ[name]
os.environ["COLUMNS"] = "100"
