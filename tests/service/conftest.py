"""The kit's own fixtures, taken as a user's ``pytest_plugins`` would take them."""

from handinger_async.testing.pytest_plugin import (  # noqa: F401
    fake_handinger,
    handinger,
    handinger_server,
    pytest_asyncio_loop_factories,
    virtual_time,
)
