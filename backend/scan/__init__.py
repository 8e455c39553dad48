"""From a file or arrays of any quality to points and normals in the canonical frame."""
