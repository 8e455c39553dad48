"""Signed distance fields on sparse bricks: evidence, network, recursion, surface."""
