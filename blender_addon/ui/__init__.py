"""Settings, preferences and panels. Drawing starts nothing."""
