"""Meshes and solids: normals, distances, winding numbers, topology, measures."""
