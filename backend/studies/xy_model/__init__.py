"""The 2D XY model and a variational autoencoder that knows its energy (Cristoforetti et al. 2017, arXiv 1705.09524)."""
