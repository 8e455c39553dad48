"""The command line: one file a verb. Each parses, calls one operation, prints."""

import os

# Before numpy is imported. The matrix products of this package are small, and several run at once: with threads of its
# own OpenBLAS takes twice as long for them. ONNX Runtime and the searches for neighbours have their own threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
