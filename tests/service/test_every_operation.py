"""Every operation has a typed method and a response of the in-memory service; a failure says where to add it."""

import inspect
from contextlib import suppress

import attrs
import pytest

from handinger_async import resources
from handinger_async.codec import encode_request
from handinger_async.http import Endpoint
from handinger_async.operations import OPERATIONS
from handinger_async.testing import FakeHandinger
from handinger_async.transports.memory import call_handler

from ..core.test_wire_table import ROWS

#: An example of every argument, by name.
ARGUMENTS = {
    field.name: getattr(row.operation, field.name)
    for row in reversed(ROWS)
    for field in attrs.fields(type(row.operation))
    if getattr(row.operation, field.name) is not None
}


#: Methods made of several operations.
COMPOSED = ("download_files", "run", "wait")


class Recorder:
    """A sender that records operations instead of performing them."""

    def __init__(self):
        self.sent = []

    async def send(self, operation):
        self.sent.append(operation)
        raise LookupError("there is no service")

    def stream(self, operation, **options):
        self.sent.append(operation)

    def download(self, operation):
        self.sent.append(operation)


def sent_by_methods():
    """Call every public method of every resource; return the operations that they send."""
    recorder = Recorder()
    for name in set(resources.__all__) - {"WebhookExecutions"}:
        resource = getattr(resources, name)(recorder)
        for attribute, method in inspect.getmembers(resource, inspect.ismethod):
            if not attribute.startswith("_") and attribute not in COMPOSED:
                parameters = inspect.signature(method).parameters
                result = method(**{name: ARGUMENTS[name] for name in parameters if name in ARGUMENTS})
                if inspect.iscoroutine(result):
                    with suppress(LookupError):
                        result.send(None)
                    result.close()
    return recorder.sent


@pytest.mark.parametrize("cls", OPERATIONS)
def test_every_operation_has_a_typed_method(cls):
    if not any(type(operation) is cls for operation in sent_by_methods()):
        pytest.fail(
            f"no method for {cls.__name__}: add one to a class in handinger_async/resources, with one parameter "
            "per field",
            pytrace=False,
        )


@pytest.mark.parametrize("cls", OPERATIONS)
@pytest.mark.usefixtures("virtual_time")
async def test_every_operation_has_a_response_of_the_fake(cls):
    operation = next((row.operation for row in ROWS if type(row.operation) is cls), None)
    if operation is None:
        pytest.fail(
            f"no row for {cls.__name__}: add its exact bytes to ROWS in tests/core/test_wire_table.py", pytrace=False
        )
    _, request = Endpoint("https://example.com", "key").prepare(encode_request(operation))
    if (await call_handler(FakeHandinger(), request)).status == 501:
        pytest.fail(
            f"no response for {cls.__name__}: add a handler to a module of handinger_async/testing/_service/handlers",
            pytrace=False,
        )
