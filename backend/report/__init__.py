"""What a model knows and can do, as one page with pictures."""
