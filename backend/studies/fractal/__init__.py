"""Fractal Generative Models (Li et al. 2025, arXiv 2502.17437) in three dimensions: octree occupancy, and one small
autoregressive atom that is applied again at every level."""
