"""The measures of disentanglement against values that are known beforehand: of tables, and of codes as good and as bad
as can be, by the protocol of the library's own tests (Locatello et al. 2019, github.com/google-research/
disentanglement_lib): factors of equally likely values, the code a plain function of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...training.disentanglement_metrics import (
    beta_vae,
    dci,
    factor_vae,
    importances,
    information,
    mig,
    modularity,
    sap,
)
from ..claims import Claim, Source

DIAGONAL = np.diag(np.full(5, 5.0))
REDUNDANT = np.concatenate((DIAGONAL, DIAGONAL), axis=0)
SHARED = np.concatenate((DIAGONAL, DIAGONAL), axis=1)
EMPTY = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
HALF = 1 - math.log(2) / math.log(10)
"""Of ten codes or factors, two share what they stand for."""
ROUNDING = 1e-12
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Protocol:
    """factors: how many, with as many values each; train, test: rows for boosted trees; rows: for everything else;
    many: rows that counting needs to see that there is nothing to be seen."""

    factors: int = 10
    train: int = 1_000
    test: int = 1_000
    rows: int = 3_000
    many: int = 20_000


def table_claims() -> list[Claim]:
    """Deviations from exact values."""
    known = (
        ("M1", "completeness of codes that are there twice, 1 - ln 2 / ln 10", dci(REDUNDANT).completeness, HALF),
        ("M2", "disentanglement of one code for two factors, 1 - ln 2 / ln 10", dci(SHARED).disentanglement, HALF),
        ("M3", "modularity of one code for two factors, 1 - 1 / 9", modularity(SHARED), 1 - 1 / 9),
        ("M4", "modularity with an empty code, 2 / 3", modularity(EMPTY), 2 / 3),
        ("M5", "disentanglement with an empty code, 1", dci(EMPTY).disentanglement, 1.0),
    )
    return [
        Claim(key, f"deviation of the {what}", abs(value - exact), high=ROUNDING, source=Source.EXACT)
        for key, what, value, exact in known
    ]


def code_claims(protocol: Protocol) -> tuple[list[Claim], dict[str, dict[str, float]]]:
    """The library's test targets, and all scores of the three codes."""
    doubled = doubled_completeness(protocol.factors)
    same, useless, twice = (scores(kind, protocol) for kind in ("identity", "useless", "doubled"))
    rows = (
        ("M6", "lowest score of the identity", min(same.values()), 0.9, 1.0),
        ("M7", "highest score of a code of no use", max(useless.values()), 0.0, 0.2),
        ("M8", "MIG of the identity twice", twice["mig"], 0.0, 0.1),
        ("M9", "SAP of the identity twice", twice["sap"], 0.0, 0.2),
        ("M10", "DCI disentanglement of the identity twice", twice["dci_d"], 0.9, 1.0),
        ("M11", "modularity of the identity twice", twice["modularity"], 0.9, 1.0),
        ("M12", "DCI completeness of the identity twice", twice["dci_c"], doubled - 0.1, doubled + 0.1),
    )
    claims = [Claim(key, what, value, low, high, source=Source.EXACT) for key, what, value, low, high in rows]
    return claims, {"identity": same, "useless": useless, "doubled": twice}


def doubled_completeness(factors: int) -> float:
    """Of a code that holds every factor in two of its numbers, equally."""
    return 1 - math.log(2) / math.log(2 * factors)


def scores(kind: str, protocol: Protocol) -> dict[str, float]:
    """Scores of a code of this kind. Useless is a constant where a score asks for the best number, and where it asks
    how numbers share the factors, the factors of each row in an order of its own."""
    mixed = "shuffled" if kind == "useless" else kind
    flat = "constant" if kind == "useless" else kind
    train, test = (drawn(protocol, rows, seed) for seed, rows in enumerate((protocol.train, protocol.test)))
    parts = dci(importances(code(mixed, train), train, code(mixed, test), test, discrete=True)[0])
    first, second = (drawn(protocol, protocol.rows, seed) for seed in (2, 3))
    four = (code(flat, first), first, code(flat, second), second)
    several = drawn(protocol, protocol.many if kind == "useless" else protocol.rows, 4)
    found = {
        "dci_d": parts.disentanglement,
        "dci_c": parts.completeness,
        "mig": mig(four[0], first, protocol.factors),
        "sap": sap(four[0], first),
        "factor_vae": factor_vae(*four, np.random.default_rng(5)),
        "modularity": modularity(information(code(mixed, several), several, protocol.factors)),
    }
    # a guess among so many factors is right by chance as often as that, and half of the time with two
    return found if kind == "useless" else found | {"beta_vae": beta_vae(*four, np.random.default_rng(6))}


def drawn(protocol: Protocol, rows: int, seed: int) -> Table:
    """Factors (rows, factors)."""
    size = (rows, protocol.factors)
    return np.random.default_rng([seed, rows]).integers(protocol.factors, size=size).astype(np.float64)


def code(kind: str, factors: Table) -> Table:
    """The code of each row of factors (n, k)."""
    if kind == "identity":
        return factors
    if kind == "doubled":
        return np.concatenate((factors, factors), axis=1)
    return np.zeros_like(factors) if kind == "constant" else np.random.default_rng(9).permuted(factors, axis=1)
