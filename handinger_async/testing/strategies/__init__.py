"""Hypothesis strategies for operations, results, events, and the JSON of the service.

They generate all values that the service may send, including those of a later version: unknown fields, enum values and
schedule types, which a client must tolerate. They shrink to the plainest case.

::

    from hypothesis import given
    from handinger_async.testing import strategies

    @given(strategies.workers())
    def test_every_worker_can_be_shown(worker): ...

Importing this module needs Hypothesis, which the extra ``testing`` brings.
"""

from ...errors import ConfigurationError

try:
    import hypothesis as _  # noqa: F401 - checked here, so that the error is the same for each module below
except ImportError:
    raise ConfigurationError(
        "handinger_async.testing.strategies needs Hypothesis: pip install 'handinger-async[testing]'"
    ) from None

from ._faults import faults
from ._models import schedules, workers
from ._mutations import json_mutations
from ._operations import operations, results
from ._streams import event_streams, events, splits
from ._values import json_values

__all__ = [
    "event_streams",
    "events",
    "faults",
    "json_mutations",
    "json_values",
    "operations",
    "results",
    "schedules",
    "splits",
    "workers",
]
