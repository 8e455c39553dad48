"""A Monte Carlo reference of the XY model, computed for this project with other code: Metropolis, over-relaxation and
Wolff clusters, 60,000 to 100,000 measurements per temperature; errors of one sigma are at most those in ``ERRORS``."""

from __future__ import annotations

from collections.abc import Mapping

T_KT = 0.8929
"""Temperature of the Kosterlitz-Thouless transition of the infinite lattice (Hasenbusch 2005, 0.89294(8))."""
TEMPERATURES = (0.1, 0.4, 0.6, 0.8, 0.8929, 0.95, 1.0, 1.2, 1.5, 2.0)
ERRORS = {"e": 6e-4, "m": 9e-4, "Y": 2.5e-3, "n": 2.5e-4, "C": 0.015}
CROSSING = {16: 0.937, 32: 0.924}
"""Where the helicity modulus is 2 T / pi, by side of the lattice."""
PEAK = {16: (1.11, 1.49), 32: (1.08, 1.53)}
"""Temperature and height of the specific heat's peak."""

REFERENCE: Mapping[int, Mapping[str, tuple[float, ...]]] = {
    16: {
        "e": (-1.9496, -1.7887, -1.6693, -1.5296, -1.4503, -1.3926, -1.3362, -1.0571, -0.7786, -0.5475),
        "m": (0.9751, 0.8958, 0.8363, 0.7643, 0.7189, 0.682, 0.639, 0.359, 0.175, 0.113),
        "Y": (0.9746, 0.8898, 0.8211, 0.7235, 0.648, 0.577, 0.493, 0.08, 0.0, 0.0),
        "n": (0.0, 1e-6, 0.00013, 0.0029, 0.0079, 0.0134, 0.0206, 0.0724, 0.1373, 0.1972),
        "C": (0.51, 0.57, 0.63, 0.78, 0.93, 1.07, 1.21, 1.30, 0.66, 0.32),
    },
    32: {
        "e": (-1.9494, -1.7880, -1.6682, -1.5274, -1.4467, -1.3877, -1.3268, -1.0472, -0.7791, -0.5481),
        "m": (0.9696, 0.8738, 0.8029, 0.7180, 0.6629, 0.613, 0.543, 0.184, 0.087, 0.056),
        "Y": (0.9745, 0.8894, 0.8204, 0.7199, 0.634, 0.537, 0.396, 0.006, 0.0, 0.0),
        "n": (0.0, 1e-6, 0.00016, 0.0031, 0.0083, 0.0143, 0.0225, 0.0747, 0.1373, 0.1968),
        "C": (0.51, 0.57, 0.64, 0.80, 0.95, 1.12, 1.34, 1.19, 0.66, 0.32),
    },
}
"""Quantity at each temperature, by side of the lattice: energy per site, mean length of the magnetisation, helicity
modulus, vortices of both signs per plaquette, specific heat per site."""
