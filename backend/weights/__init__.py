"""Edits as movements of the weights: learned, stored, applied, guarded."""
