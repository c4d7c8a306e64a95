pytest_plugins = ["handinger_async.testing.pytest_plugin"]
