"""Operators: each reads its options, calls one function, and reports the result."""

from __future__ import annotations

from . import backend, check, edits, faces, fit, holes, learn, library, places, sample_audit, scan_file, settings, views

CLASSES = (
    *fit.CLASSES, *faces.CLASSES, *holes.CLASSES, *backend.CLASSES, *edits.CLASSES, *places.CLASSES, *learn.CLASSES,
    *library.CLASSES, *check.CLASSES, *sample_audit.CLASSES, *settings.CLASSES,
    *views.CLASSES, *scan_file.CLASSES,
)  # fmt: skip
