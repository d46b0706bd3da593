"""What holds for every test."""

import signal

from hypothesis import settings

# The machine is shared, and the tests run two files at a time: how long one example takes says nothing.
settings.register_profile("potstill", deadline=None)
settings.load_profile("potstill")

# A shell starts background jobs with Ctrl-C ignored, and processes inherit that; some tests send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
