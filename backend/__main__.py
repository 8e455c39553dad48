"""Entry of ``python -m backend`` and of ``python -I path/to/backend/__main__.py``.

In the second form no folder is on ``sys.path``. The package is then loaded from its place under the name
``backend``, without making its neighbours importable: in a Blender extension those are the add-on's own modules.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path


def load_package(folder: Path) -> None:
    """Make ``folder`` importable as the package ``backend``."""
    spec = importlib.util.spec_from_file_location(
        "backend", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["backend"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    # jobs share their work among threads of their own: with those of BLAS beside them learning takes 1.4 times as long
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not __package__:
        here = Path(__file__).resolve().parent
        # Without -I Python puts the script's folder first, where our module names would hide others.
        sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
        load_package(here)
    sys.exit(importlib.import_module(".cli.main", __package__ or "backend").main())
