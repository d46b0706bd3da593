"""What holds for every test."""

from hypothesis import settings

# The machine is shared, and the tests run two files at a time: how long one example takes says nothing.
settings.register_profile("potstill", deadline=None)
settings.load_profile("potstill")
