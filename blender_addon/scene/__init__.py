"""What Omomi reads from the scene and puts there. Only these modules touch mesh data."""
