"""Programs of the families: each reads `Draws` and returns a field over points in about [-1, 1]^3."""
