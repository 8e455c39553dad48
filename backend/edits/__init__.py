"""Edits of a fitted scan: sliders, learned edits, masks, stacks, blends, and what they change."""
