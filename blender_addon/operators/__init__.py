"""Thin operators: they turn the artist's wishes into calls and what comes back into reports."""

from __future__ import annotations

from . import backend, check, completions, edits, family, fit, learn, library, sample_audit

CLASSES = (
    *fit.CLASSES, *completions.CLASSES, *backend.CLASSES, *edits.CLASSES, *learn.CLASSES, *library.CLASSES,
    *check.CLASSES, *family.CLASSES, *sample_audit.CLASSES,
)  # fmt: skip
