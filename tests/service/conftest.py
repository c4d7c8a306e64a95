"""The fixtures of the testing kit, as ``pytest_plugins`` would load them."""

from handinger_async.testing import pytest_plugin

globals().update({name: value for name, value in vars(pytest_plugin).items() if not name.startswith("__")})
