"""Latents aligned with a flow prior (Li et al. 2025, "Aligning Latent Spaces with Flow Priors", arXiv 2506.05240)."""
