"""Japanese for all that an artist reads."""

from __future__ import annotations

from . import backend, checks, edits, errors, fit, reports

TEXTS = {
    **fit.TEXTS, **edits.TEXTS, **checks.TEXTS, **reports.TEXTS, **backend.TEXTS, **errors.TEXTS,
}  # fmt: skip
