"""The fixtures of the testing kit, as ``pytest_plugins`` would load them."""

import pytest

from handinger_async.testing import pytest_plugin

globals().update({name: value for name, value in vars(pytest_plugin).items() if not name.startswith("__")})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recording.json"
