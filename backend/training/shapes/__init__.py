"""Procedural shapes to train on, as signed distances in torch."""
