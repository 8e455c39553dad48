"""These tests need the `train` extra; without torch they are left out, and pytest says that nothing was collected."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]
