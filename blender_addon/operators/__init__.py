"""Thin operators: they turn the artist's wishes into calls and what comes back into reports."""

from __future__ import annotations

from . import backend, check, edits, fit, learn, library, sample_audit

CLASSES = (
    *fit.CLASSES, *backend.CLASSES, *edits.CLASSES, *learn.CLASSES, *library.CLASSES, *check.CLASSES,
    *sample_audit.CLASSES,
)  # fmt: skip
