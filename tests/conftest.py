"""What all tests need: threads that wait without spinning, and Ctrl-C."""

import os
import signal

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# A shell starts background jobs with Ctrl-C ignored, and so would be every script that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
