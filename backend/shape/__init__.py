"""Topology and measures of triangle meshes."""
