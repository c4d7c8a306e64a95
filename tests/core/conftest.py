"""What the tests without an event loop share: Hypothesis takes its time on a busy machine."""

from hypothesis import settings

settings.register_profile("handinger", deadline=None)
settings.load_profile("handinger")
