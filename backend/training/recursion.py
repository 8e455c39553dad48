"""The recursion: the atom at every level, each level conditioned on the one above. All that is trained stands here.

    seed:      evidence of level 0  ->  the field above level 0, solved spectrally, without weights
    encoder:   field of level 0  ->  mean and log sd of the shape code z
    features:  field of level 0  ->  z, a fixed linear map, and back
    recursion: evidence of levels 0 .. L along one chain of nested blocks, z  ->  fields of levels 0 .. L

The field of a level is the parent of the next. A scan's code is read from its evidence: the atom looks at level 0
without a code, the features of the field that it sees are already close to the code, and its scale says how close; the
encoder, a small network, learns what is missing, which is mostly in the unseen.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, avg_pool3d, pad, silu

from ..field.bricks import BLOCK, TRUNCATION, voxel_size
from ..field.onnx_model import CODE, CODED_LEVELS, ENCODER_NOISE, LEAST_NOISE
from .atom import EVIDENCE, Atom, AtomConfig, Phi, gaussian_band, separable
from .grids import Batch, block_position, parent_block

COARSE = 16  # the field of level 0 is averaged to this resolution before its features are taken
ENCODER_WIDTH = 256
LEAST_LOG_SD, LARGEST_LOG_SD = -3.0, 0.3


def attributes(noise_voxels: Tensor, filling: Tensor, level: int) -> Tensor:
    """Phi's input (B, ATTRIBUTES); noise and filling (B,). `field.recursion` writes the same in numpy."""
    noise = torch.log2(noise_voxels.clamp(min=LEAST_NOISE))
    constant = torch.ones_like(noise)
    return torch.stack([noise / 3, filling, constant * level / 5, constant * float(level == 0)], dim=1)


class Recursion(nn.Module):
    """Atom, Phi, seed, encoder and features: all that is trained and exported."""

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
            raw = self.atom.trunk(given.contiguous(memory_format=torch.channels_last_3d), position, style)
        return self.atom.field(raw.float(), given)


class Seed(nn.Module):
    """Evidence of level 0 (1, 5, 32, 32, 32) -> the field above level 0 (1, 2, 18, 18, 18), in its voxels. An indicator
    chi with laplacian(chi) = div(smoothed normals), zero at the border of the box, as in Poisson reconstruction
    (Kazhdan et al. 2006), solved with a sine transform: exact, global, a few small matrix products."""

    def __init__(self) -> None:
        super().__init__()
        n = BLOCK
        index = torch.arange(1, n + 1, dtype=torch.float64)
        sine = torch.sin(math.pi * index[:, None] * index[None, :] / (n + 1)) * math.sqrt(2 / (n + 1))
        eigenvalue = 2 - 2 * torch.cos(math.pi * index / (n + 1))
        total = eigenvalue[:, None, None] + eigenvalue[None, :, None] + eigenvalue[None, None, :]
        half = torch.full((n - 1,), 0.5)
        centred = torch.diag(half, 1) - torch.diag(half, -1)
        pool = pad(avg_pool1d(torch.eye(n)[None], 2), (1, 1), mode="replicate")[0].T.contiguous()
        self.blur = nn.Buffer(gaussian_band(1.0), persistent=False)
        self.sine = nn.Buffer(sine.float(), persistent=False)
        self.inverse = nn.Buffer((1 / total).float(), persistent=False)
        self.centred = nn.Buffer(centred, persistent=False)
        self.pool = nn.Buffer(pool, persistent=False)

    def forward(self, evidence: Tensor) -> Tensor:
        weight, normal = evidence[:, :1], evidence[:, 1:4]
        # each voxel that holds points stands for about one voxel face of surface, whatever the sampling density
        normal = separable(normal / (weight + 0.5), self.blur)
        divergence = (self.centred @ normal[:, 0].reshape(-1, BLOCK, BLOCK * BLOCK)).reshape(-1, BLOCK, BLOCK, BLOCK)
        divergence = divergence + self.centred @ normal[:, 1] + normal[:, 2] @ self.centred.T
        # normals point outwards, so chi falls along them; -laplacian has the positive eigenvalues
        chi = separable(separable(divergence[:, None], self.sine) * self.inverse, self.sine)
        mean = (0.5 - chi).clamp(-1.0, 1.0) * (TRUNCATION / 2)
        field = torch.cat([mean, torch.full_like(mean, 0.5)], dim=1)
        return separable(field, self.pool)


class Features(nn.Module):
    """What a code stands for: level-0 field (B, 1, 32, 32, 32) in voxels -> code (B, CODE), its whitened principal
    components: each number has mean 0 and variance 1 over the shapes that it was fitted to."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(COARSE**3))
        self.basis = nn.Buffer(torch.zeros(COARSE**3, CODE))
        self.scale = nn.Buffer(torch.zeros(CODE))

    @property
    def fitted(self) -> bool:
        return bool((self.scale > 0).all())

    def forward(self, field: Tensor) -> Tensor:
        return (avg_pool3d(field, 2).flatten(1) - self.mean) @ self.basis / self.scale

    def inverse(self, code: Tensor) -> Tensor:
        """The field (B, 1, 16, 16, 16) closest to the mean that has this code; in voxels of level 0."""
        return ((code * self.scale) @ self.basis.T + self.mean).reshape(-1, 1, COARSE, COARSE, COARSE)

    @torch.no_grad()
    def fit(self, fields: Tensor) -> None:
        """Principal components of level-0 fields (n, 1, 32, 32, 32)."""
        pooled = avg_pool3d(fields, 2).flatten(1)
        self.mean.copy_(pooled.mean(0))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _, size, basis = torch.svd_lowrank(pooled - self.mean, q=min(CODE + 32, len(pooled)), niter=3)
        found = int((size[:CODE] > 1e-4 * size[0]).sum())
        self.basis.zero_()
        self.basis[:, :found] = basis[:, :found]
        # a number of the code for which there are too few fields is always 0
        self.scale.fill_(1)
        self.scale[:found] = size[:found] / len(pooled) ** 0.5


class Encoder(nn.Module):
    """Field of level 0 (B, 2, 32, 32, 32), mean and log scale in voxels -> mean and log sd of z, each (B, CODE)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * CODE, ENCODER_WIDTH)
        self.middle = nn.Linear(ENCODER_WIDTH, ENCODER_WIDTH)
        self.out = nn.Linear(ENCODER_WIDTH, 2 * CODE)
        # at first the encoder says what the features say
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Features, field: Tensor) -> tuple[Tensor, Tensor]:
        seen = features(field[:, :1].clamp(-TRUNCATION, TRUNCATION))
        # the variance of a Laplace distribution is twice the square of its scale
        variance = avg_pool3d(2 * torch.exp(2 * field[:, 1:]), 2).flatten(1) @ features.basis.square()
        doubt = 0.5 * torch.log(variance / features.scale.square() + 1e-4)
        known = silu(self.hidden(torch.cat([seen, doubt], dim=1)))
        shift, widen = self.out(silu(self.middle(known))).split(CODE, dim=1)
        return seen + shift, (doubt + widen).clamp(LEAST_LOG_SD, LARGEST_LOG_SD)
