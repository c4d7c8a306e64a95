"""Everything that needs an event loop, below the session: calls, timeouts, streams and downloads."""
