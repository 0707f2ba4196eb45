"""Threads that wait without spinning: other programs use the cores too."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
