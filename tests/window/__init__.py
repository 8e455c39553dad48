"""A walk through the artist's steps in a real window of Blender: ``build_addon.py window``."""
