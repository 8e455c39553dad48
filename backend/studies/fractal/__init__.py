"""Fractal Generative Models (Li et al. 2025, arXiv 2502.17437) in three dimensions: octree occupancy, eight children
per parent, one small autoregressive atom that is applied again at every level."""
