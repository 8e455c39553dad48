"""The prior over whole shapes: codes, flow, symmetry, families, and what is measured of them."""
