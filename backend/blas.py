"""Imported before numpy by whatever is a process of its own.

The matrix products of this package are small, and several run at once: with threads of its own, OpenBLAS takes twice as
long for them, waiting for one another's. ONNX Runtime and the searches for neighbours have their own threads.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
