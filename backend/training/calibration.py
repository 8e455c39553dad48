"""Calibration of sigma: fit held-out scans with the exported model, and compare sigma with the true error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.spatial import KDTree
from scipy.stats import norm

from ..errors import ErrorCode, OmomiError
from ..field.bricks import voxel_size
from ..field.onnx_model import Model, load_model
from ..field.uncertainty import SCALE_TO_SD, UNMEASURED
from ..formats.raw_scan import RawScan
from ..prior.completion import completed_fit
from ..protocol.fit_options import FitOptions
from ..scan.prepare import prepare
from .bank import Bank
from .export import CARD, update_card
from .scanner import draw_settings, scan_points

COVERED = 0.9  # share of the errors that sigma is calibrated to cover
NORMAL_QUANTILE = 1.6449  # a normal distribution keeps 90 % within this many standard deviations
LEVELS = (0, 1, 2, 3)  # those that are calibrated; deeper ones take the last factor
NOMINAL = tuple(round(0.05 + 0.1 * number, 2) for number in range(10))  # shares at which the calibration curve is read
PER_SCAN = np.linspace(0, 1, 501)  # quantiles of its errors that stand for a scan: each scan counts the same
FEWEST = 100  # vertices that nobody measured; a scan with fewer says nothing of the factor
SPACING = 0.012  # of surface points of the bank (canonical); within it, errors are measured to their planes


def held_out_scans(bank: Bank, seed: int = 0) -> list[tuple[RawScan, np.ndarray, np.ndarray]]:
    """One random scan of every held-out shape, with points and normals on its true surface, f64 (n, 3)."""
    generator = torch.Generator().manual_seed(seed)
    scans = []
    for path, number in bank.members:
        surface, up = bank.surface((path, number)), bank.up((path, number))
        cloud, estimated, _ = scan_points(*surface, draw_settings(generator), generator, up)
        points, normals = surface[:2]
        raw = RawScan(cloud.double().numpy(), None, estimated.numpy(), None, f"{path.stem} {number}")
        scans.append((raw, points.double().numpy(), normals.double().numpy()))
    return scans


def true_error(vertices: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Distance f64 (v,) of vertices (v, 3) to the surface that ``points`` (n, 3) with ``normals`` (n, 3) sample."""
    distance, nearest = KDTree(points).query(vertices)
    to_plane = np.abs(((vertices - points[nearest]) * normals[nearest]).sum(axis=1))
    return np.where(distance < SPACING, to_plane, distance)


def sigma_factors(model: Model, bank: Bank, scans: int) -> dict:
    """For each level the factor on its scale with which sigma covers 90 % of the errors where nothing was measured, as
    that of a normal distribution would; the coverage before, and the calibration curve after, of all vertices.

    Where a scan was measured, `uncertainty.calibrated_share` lowers sigma. Levels are calibrated coarse to fine: a
    level that sees nothing takes over the sigma of the one above. A curve holds, for each nominal share, the share of
    the errors within the interval that a normal distribution gives it.
    """
    chosen = held_out_scans(bank)[:: max(1, len(bank.members) // scans)]
    factors: list[float] = []
    coverage: list[float] = []
    curves: dict[str, dict[str, list[float]]] = {}
    widths = norm.ppf(0.5 + np.array(NOMINAL) / 2)
    for level in LEVELS:
        model.card["sigma_factors"] = [*factors, 1.0]
        ratios, unmeasured = [], []
        for raw, points, normals in chosen:
            scan = prepare(raw)
            try:
                mesh = completed_fit(scan, model, FitOptions(level=level, base=False)).mesh
            except OmomiError as error:
                # two views of a thin shape may leave nothing to calibrate on
                if error.code is not ErrorCode.NO_SURFACE:
                    raise
                continue
            ratio = true_error(mesh.vertices, points, normals) / np.maximum(mesh.sigma, 1e-9)
            ratios.append(np.quantile(ratio, PER_SCAN))
            far = mesh.sigma * scan.frame.scale > UNMEASURED * SCALE_TO_SD * voxel_size(level)
            if np.count_nonzero(far) >= FEWEST:
                unmeasured.append(np.quantile(ratio[far], PER_SCAN))
        every = np.concatenate(ratios)
        decisive = np.concatenate(unmeasured) if unmeasured else every
        factors.append(round(float(np.quantile(decisive, COVERED)) / NORMAL_QUANTILE, 4))
        coverage.append(round(float((every <= NORMAL_QUANTILE).mean()), 4))
        observed = [round(float((every <= width * factors[-1]).mean()), 4) for width in widths]
        curves[str(level)] = {"nominal": list(NOMINAL), "observed": observed}
    return {
        "sigma_factors": factors,
        "calibration": {"coverage_90_before": coverage, "scans": len(chosen)},
        "calibration_curve": curves,
    }


def calibrate(folder: Path, bank: Bank, scans: int) -> dict:
    """Put the `sigma_factors` into the card of the model in ``folder``; returns them."""
    found = sigma_factors(load_model("cpu", folder=folder), bank, scans)
    update_card(folder / CARD, found)
    return found
