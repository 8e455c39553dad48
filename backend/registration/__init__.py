"""Bringing one surface to another: similarities, ICP, smooth warps."""
