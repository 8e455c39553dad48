"""The model's card: what it is, how it was made, and everything that was measured of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_into(path: Path, entries: dict[str, Any]) -> None:
    """Put ``entries`` into the card at ``path``, in place of those of the same name; all or nothing."""
    card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(card | entries, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
