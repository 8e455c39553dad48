"""Files: meshes, named arrays, and writing whole files."""
