"""What lasts while Blender runs: the backend process, its fits, the run in progress, the artist's edits and files."""
