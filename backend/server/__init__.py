"""The backend process: reads requests, runs jobs, streams meshes."""
