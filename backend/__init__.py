"""Omomi's backend: scans in, signed distance fields and meshes out. Never imports bpy."""

__version__ = "0.1.0"
