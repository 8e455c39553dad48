"""Meshes and objects of the scene: reading them, and placing results, previews, shape keys and attributes."""
