"""Schaerf 2024, "Reflections on Disentanglement and the Latent Space", arXiv 2410.09094: an essay, made measurable."""
