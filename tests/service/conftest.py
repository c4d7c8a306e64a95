"""The fixtures of the testing kit, as ``pytest_plugins`` would load them."""

from handinger_async.testing.pytest_plugin import (  # noqa: F401
    fake_handinger,
    handinger,
    handinger_server,
    pytest_asyncio_loop_factories,
    virtual_time,
)
