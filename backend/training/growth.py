"""A root that begins as the atom: what a run makes of weights that were trained before there was a root."""

from __future__ import annotations

import torch
from torch import nn

from .recursion import Recursion


@torch.no_grad()
def grow_root(model: Recursion) -> None:
    """Give the first channels of the root the atom's weights. They hear none of the other channels, which stay as they
    were drawn, so that the root makes the atom's field (after Chen et al. 2016, "Net2Net", 1511.05641)."""
    plain = dict(model.atom.named_modules())
    for name, wide in model.root.named_modules():
        own = plain.get(name)
        if isinstance(wide, nn.Conv3d) and isinstance(own, nn.Conv3d):
            made, heard = own.weight.shape[:2]
            wide.weight[:made] = 0
            wide.weight[:made, :heard] = own.weight
            if wide.bias is not None and own.bias is not None:
                wide.bias[:made] = own.bias
    phi, own_phi = model.root_phi, model.phi
    for layer in ("hidden", "middle", "code_in", "code_middle"):
        getattr(phi, layer).load_state_dict(getattr(own_phi, layer).state_dict())
    gains = _first_channels(model.root.gain_sizes, model.atom.gain_sizes)
    phi.out.weight[gains], phi.out.bias[gains] = own_phi.out.weight, own_phi.out.bias
    places = torch.arange(model.atom.style_size - model.atom.gains) + model.root.gains
    phi.code_out.weight[torch.cat([gains, places])] = own_phi.code_out.weight


def _first_channels(wide: tuple[int, ...], plain: tuple[int, ...]) -> torch.Tensor:
    """Where the channels of the plain layers are among those of the wide ones."""
    starts = torch.tensor([0, *wide]).cumsum(0).tolist()
    return torch.cat([torch.arange(size) + start for size, start in zip(plain, starts, strict=False)])
