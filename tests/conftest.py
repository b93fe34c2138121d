"""For all tests: one thread a process, since pytest runs several processes.

Numeric libraries read this when they are imported. Threads of several processes that wait for each other made the suite
three times as long.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

# Else every process that a test starts would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
