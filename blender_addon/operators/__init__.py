"""Thin operators: they turn the artist's wishes into calls and what comes back into reports."""

from __future__ import annotations

from .backend import OMOMI_OT_cancel, OMOMI_OT_doctor, OMOMI_OT_open_log, OMOMI_OT_restart
from .fit import OMOMI_OT_fit

CLASSES = (OMOMI_OT_fit, OMOMI_OT_cancel, OMOMI_OT_doctor, OMOMI_OT_restart, OMOMI_OT_open_log)
