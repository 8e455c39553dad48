"""State between operators: the backend process, its fits, the run in progress, stacks of edits, the library."""
