"""The recursion as training sees it: one chain of nested blocks, every level conditioned on the one above."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..field.blocks import PARENT
from ..field.bricks import BLOCK, TRUNCATION, voxel_size
from ..field.onnx_model import CODE, CODED_LEVELS, ENCODER_NOISE, LEAST_NOISE
from .atom import EVIDENCE, LOG_SCALE_LIMITS, Atom, AtomConfig, Phi, Seed
from .batches import Batch
from .encoder import Encoder
from .features import Features
from .grids import block_position


def attributes(noise_voxels: Tensor, filling: Tensor, level: int) -> Tensor:
    """Phi's input (B, 4). `field.recursion` writes the same in numpy."""
    noise = torch.log2(noise_voxels.clamp(min=LEAST_NOISE))
    constant = torch.ones_like(noise)
    return torch.stack([noise / 3, filling, constant * level / 5, constant * float(level == 0)], dim=1)


class Recursion(nn.Module):
    """Atom, Phi, Seed and Encoder together: all that is trained and exported, and the features that codes stand for."""

    def __init__(self, config: AtomConfig | None = None) -> None:
        super().__init__()
        self.atom = Atom(config)
        self.phi = Phi(self.atom.config, self.atom.gains, self.atom.style_size)
        self.seed = Seed()
        self.encoder = Encoder()
        self.features = Features()

    def encode(self, evidence: Tensor, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log sd (B, CODE) of the code, from the evidence of level 0 (B, 5, 32, 32, 32)."""
        with torch.no_grad():
            field = self._whole(evidence, torch.zeros(len(evidence), CODE, device=evidence.device), dtype)
        return self.encoder(self.features, field)

    def decode(self, code: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """The field of level 0 (B, 2, 32, 32, 32) that the atom makes of a code (B, CODE) alone."""
        return self._whole(torch.zeros(len(code), EVIDENCE, BLOCK, BLOCK, BLOCK, device=code.device), code, dtype)

    def _whole(self, evidence: Tensor, code: Tensor, dtype: torch.dtype | None) -> Tensor:
        plain = attributes(torch.full_like(code[:, 0], ENCODER_NOISE), torch.zeros_like(code[:, 0]), 0)
        given = self.atom.given(evidence, self.seed(evidence))
        position = block_position(torch.zeros(len(evidence), 3, device=evidence.device), 0)
        return self._field(given, position, self.phi(plain, code), dtype)

    def forward(
        self, batch: Batch, filling: Tensor, noise: Tensor, code: Tensor, dtype: torch.dtype | None
    ) -> list[Tensor]:
        """Fields (B, 2, 32, 32, 32) of every level in ``batch``; noise (B,) canonical, as the engine would estimate
        it; code (B, CODE); dtype: autocast type of the trunk, None for float32."""
        fields: list[Tensor] = []
        parent = self.seed(batch.evidence[0])
        for level, evidence in enumerate(batch.evidence):
            if level:
                # each level learns to live with the one above; gradients between them cost a quarter of the time
                parent = parent_block(fields[-1].detach(), batch.origins[level - 1], batch.origins[level])
            voxel = voxel_size(level)
            heard = code if level < CODED_LEVELS else torch.zeros_like(code)
            style = self.phi(attributes(noise / voxel, filling, level), heard)
            given = self.atom.given(evidence, parent)
            position = block_position(batch.origins[level], level)
            fields.append(self._field(given, position, style, dtype))
        return fields

    def _field(self, given: Tensor, position: Tensor, style: Tensor, dtype: torch.dtype | None) -> Tensor:
        """The atom's field, its trunk in ``dtype``."""
        with torch.autocast(given.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            raw = self.atom.trunk(given.contiguous(memory_format=torch.channels_last_3d), position, style)[0]
        return self.atom.field(raw.float(), given)


def parent_block(field: Tensor, origins: Tensor, child_origins: Tensor) -> Tensor:
    """Part (B, 2, 18, 18, 18) of parent blocks that lies under child blocks, with one voxel of halo.

    Beyond the domain everything is outside, and surely so.
    """
    room = PARENT
    padded = torch.cat(
        [
            nn.functional.pad(field[:, :1].clamp(-TRUNCATION, TRUNCATION), (room,) * 6, value=TRUNCATION),
            nn.functional.pad(field[:, 1:], (room,) * 6, value=LOG_SCALE_LIMITS[0] + 2),
        ],
        dim=1,
    )
    start = (torch.div(child_origins, 2, rounding_mode="floor") - 1 - origins + room).tolist()
    return torch.stack(
        [
            block[:, x : x + PARENT, y : y + PARENT, z : z + PARENT]
            for block, (x, y, z) in zip(padded, start, strict=True)
        ]
    )
