"""Profiles: the shapes of one family of scans."""
