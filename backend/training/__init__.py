"""Training of the network. Torch is imported here and in the studies only.

atom, recursion                     the network: read these two first
shapes, scanner, grids, bank        procedural shapes, stored once and scanned anew for every batch
losses, objective, flow, train      what training minimises, the flow over codes, the loop (`omomi train`)
checkpoint, export, calibration     weights on disk, ONNX graphs and their card (`omomi export`), sigma
release, model_audit                a model as it ships, and the page that says what it can do
latent_directions, slider_names     directions of the code as sliders, and their names
sliders, disentanglement_metrics    how well sliders are disentangled, on a family whose factors are known
ablation, demo_scan                 what parts of the loss are worth (`omomi ablate`); the demonstration scan
"""
