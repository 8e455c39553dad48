"""Shape generation via weight space learning (arXiv 2503.21830), small: sharp topology, soft geometry."""
