"""Sigma of vertices: less of the calibrated one where a level measured, all of it where it did not."""

from __future__ import annotations

import numpy as np
import pytest

from backend.field.uncertainty import MEASURED, MEASURED_SHARE, UNMEASURED, calibrated_share


def test_where_nothing_was_measured_all_of_the_calibrated_sigma_holds() -> None:
    assert calibrated_share(np.array([UNMEASURED, 1.0, 50.0])) == pytest.approx(1)
    assert calibrated_share(np.array([0.0, 0.01, MEASURED])) == pytest.approx(MEASURED_SHARE)


def test_sigma_keeps_the_order_of_the_scales() -> None:
    scale = np.linspace(0.001, 3, 2_000, dtype=np.float32)
    sigma = scale * calibrated_share(scale)
    assert sigma.dtype == np.float32 and (np.diff(sigma) > 0).all()
