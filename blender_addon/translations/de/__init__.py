"""German for labels, menus and the commonest messages; what is missing here stays English."""

from __future__ import annotations

from . import checks, edits, fit, reports

TEXTS = {**fit.TEXTS, **edits.TEXTS, **checks.TEXTS, **reports.TEXTS}
