"""Training of the network: procedural shapes, virtual scanner, losses, export. The only place that imports torch."""
