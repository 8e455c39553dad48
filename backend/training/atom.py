"""The atom: one small network that serves every level of the field, and Phi, which moves its weights.

A field is made level by level. Level l has 32 * 2^l voxels along each side, cut into blocks of 32^3, and the same
network reads every block of every level (after Li et al. 2025, "Fractal Generative Models", 2502.17437):

    atom: evidence, parent field, position, style  ->  mean mu and log scale log b of the signed distance.

The parent field is what the atom said one level above. Lengths are in voxels of the level at hand unless a name says
otherwise, so that one set of weights fits all levels. What else the atom has to know moves those weights (after "Shape
Generation via Weight Space Learning", 2503.21830):

    theta = theta_0 * (1 + Phi(z, a, l)),    z: shape code, a: attributes, l: level.

Phi's output is the style: one gain for each output channel of the styled convolutions, which is the same as scaling
rows of their weight tensors, and all weights of the layer that sees the position, where the code has the most to say.

Read `Atom.forward` first, then `Phi`. `recursion` runs the atom over the levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..field.bricks import BLOCK, LOG_SCALE_LIMITS, TRUNCATION
from ..field.onnx_model import CODE
from ..field.weight_delta import FLOOR, GATE

EVIDENCE = 5  # channels of evidence in each voxel: number of points, sum of their normals (3), sum of normal . position
ATTRIBUTES = 4  # beside the code: log2 of the noise (voxels) / 3, hole filling (-1 .. 1), level / 5, 1 at level 0
WAVES = 4  # cosines along each axis of the canonical frame that the layer of the position sees


@dataclass(frozen=True)
class AtomConfig:
    """Sizes of the atom and of Phi."""

    widths: tuple[int, int, int] = (24, 48, 96)  # channels of the atom at 16^3, 8^3 and 4^3
    phi_width: int = 48  # of Phi's layers that hear the attributes
    code_width: int = 128  # of Phi's layers that hear the shape code


class Atom(nn.Module):
    """The network of every level: a U-Net over 16^3, 8^3 and 4^3 between two steps at full resolution.

    evidence (N, 5, 32, 32, 32): sums over the points of each voxel, see `grids.splat`.
    parent (N, 2, 18, 18, 18): mean and log scale, in PARENT voxels; one voxel of halo around what the block covers.
    position (N, 4): canonical centre of the block, canonical size of a voxel.
    style (N, S): what `Phi` says.
    gain, bias (N, 1, 32, 32, 32): an edit of the head, see `edited_field`; zeros change no bit, and training has none.

    Returns the field (N, 2, 32, 32, 32), mean and log scale in voxels.
    """

    def __init__(self, config: AtomConfig | None = None) -> None:
        super().__init__()
        self.config = config or AtomConfig()
        fine, middle, coarse = self.config.widths
        self.sharp, self.soft = LocalPlanes(0.8), LocalPlanes(2.0)
        self.upsample = nn.Buffer(interpolation_band(), persistent=False)
        self.binomial = nn.Buffer(binomial_band(), persistent=False)
        axis = (torch.arange(BLOCK // 2) - (BLOCK // 2 - 1) / 2) * 2
        grid = torch.meshgrid(axis, axis, axis, indexing="ij")
        self.coarse_grid = nn.Buffer(torch.stack(grid)[None], persistent=False)
        self.line = nn.Buffer(axis[None, None], persistent=False)
        self.frequency = nn.Buffer(torch.arange(WAVES) * (math.pi / 2), persistent=False)
        self.double_middle = nn.Buffer(doubling_band(BLOCK // 4), persistent=False)
        self.double_coarse = nn.Buffer(doubling_band(BLOCK // 8), persistent=False)
        self.stem = nn.Conv3d(12, fine, 2, stride=2)
        self.place = nn.Conv3d(3, fine, 1)
        self.fine_in = StyledBlock(fine)
        self.down_middle = nn.Conv3d(fine, middle, 2, stride=2)
        self.middle_in = StyledBlock(middle)
        self.down_coarse = nn.Conv3d(middle, coarse, 2, stride=2)
        self.coarse = nn.ModuleList([StyledBlock(coarse), StyledBlock(coarse)])
        self.up_middle = nn.Conv3d(coarse, middle, 1)
        self.middle_out = StyledBlock(middle)
        self.up_fine = nn.Conv3d(middle, fine, 1)
        self.fine_out = StyledBlock(fine)
        self.head = nn.Conv3d(fine, 3 * 8, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.get_parameter("bias"))
        self.gain_sizes = (fine, middle, coarse, coarse, middle, fine)
        self.gains = sum(self.gain_sizes)  # channels that the style scales
        self.style_size = self.gains + fine * WAVES**3  # S: the gains, and the weights of the position layer

    def forward(
        self,
        evidence: Tensor,
        parent: Tensor,
        position: Tensor,
        style: Tensor,
        gain: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        given = self.given(evidence, parent)  # (N, 12, 32, 32, 32)
        field = self.field(self.trunk(given, position, style), given)
        return field if gain is None or bias is None else edited_field(field, gain, bias)

    def given(self, evidence: Tensor, parent: Tensor) -> Tensor:
        """What the trunk sees at full resolution (N, 12, 32, 32, 32). Sums cancel here: float32 always."""
        known, normal, offset = self.sharp(evidence)
        known_soft, _, offset_soft = self.soft(evidence)
        above = separable(parent, self.upsample)
        mean = (2 * above[:, :1]).clamp(-TRUNCATION, TRUNCATION)
        # one voxel of the parent is two of ours
        spread = (above[:, 1:] + math.log(2)).clamp(*LOG_SCALE_LIMITS)
        gap = offset - known * mean
        return torch.cat(
            [known, normal, offset, known_soft, offset_soft, gap, mean, mean.abs(), spread, spread.exp()], dim=1
        )

    def trunk(self, given: Tensor, position: Tensor, style: Tensor) -> Tensor:
        """The styled U-Net: raw head (N, 24, 16, 16, 16). May run in bfloat16."""
        place = position[:, :3, None, None, None] + self.coarse_grid * position[:, 3:, None, None, None]
        scaled, placed = style.split([self.gains, self.style_size - self.gains], dim=1)
        gains = [1 + part[:, :, None, None, None] for part in scaled.split(self.gain_sizes, dim=1)]
        x16 = functional.relu(self.stem(given) + self.place(place) + self.waves(placed, position))
        x16 = self.fine_in(x16, gains[0])
        x8 = self.middle_in(functional.relu(self.down_middle(x16)), gains[1])
        x4 = functional.relu(self.down_coarse(x8))
        for block, gain in zip(self.coarse, gains[2:4], strict=True):
            x4 = block(x4, gain)
        x8 = x8 + separable(self.up_middle(x4), self.double_coarse)
        x8 = self.middle_out(x8, gains[4])
        x16 = x16 + separable(self.up_fine(x8), self.double_middle)
        x16 = self.fine_out(x16, gains[5])
        return self.head(x16)

    def waves(self, weights: Tensor, position: Tensor) -> Tensor:
        """The position layer (N, fine, 16, 16, 16), with weights (N, fine * WAVES^3) from the style: a sum of products
        of cosines over the canonical frame."""
        count, fine = position.shape[0], self.config.widths[0]
        along = position[:, :3, None] + self.line * position[:, 3:, None]
        wave = torch.cos((along[..., None] + 1) * self.frequency)
        x, y, z = wave[:, 0], wave[:, 1], wave[:, 2]  # (N, 16, WAVES) each
        # one axis after the other, as in `separable`
        volume = weights.reshape(count, fine * WAVES * WAVES, WAVES) @ z.mT
        volume = y[:, None] @ volume.reshape(count, fine * WAVES, WAVES, BLOCK // 2)
        volume = x[:, None] @ volume.reshape(count, fine, WAVES, (BLOCK // 2) ** 2)
        return volume.reshape(count, fine, BLOCK // 2, BLOCK // 2, BLOCK // 2)

    def field(self, raw: Tensor, given: Tensor) -> Tensor:
        """Mean and log scale: the parent's field, drawn to the measured planes where the head trusts them."""
        raw = separable(depth_to_space(raw), self.binomial)  # (N, 3, 32, 32, 32): trust, correction, log scale
        known, offset, mean, spread = given[:, :1], given[:, 4:5], given[:, 8:9], given[:, 10:11]
        trust = known * torch.sigmoid(raw[:, :1])
        mu = mean + trust * (offset / (known + 1e-4) - mean) + raw[:, 1:2]
        log_scale = (raw[:, 2:] + 0.5 * spread - 1.0).clamp(*LOG_SCALE_LIMITS)
        return torch.cat([mu, log_scale], dim=1)


def edited_field(field: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Mean (1 + gain) mu + bias and its scale, of a field (N, 2, ...): what the head says with its weights for the mean
    times 1 + gain and ``bias`` added to its bias. The scale grows with the mean, and never shrinks."""
    mean, log_scale = field[:, :1], field[:, 1:]
    edited = mean + (gain * mean + bias)
    return torch.cat([edited, log_scale + (1 + gain).abs().clamp(min=1.0).log()], dim=1)


class HeadDelta(nn.Module):
    """Gain and bias (n, 2) at places (n, 3), from centres (E, 3), weights (E, 2) and radius (1,): Gaussian radial basis
    functions, normalised, and gated so that they end 2.4 radii from every centre."""

    def forward(self, places: Tensor, centres: Tensor, weights: Tensor, radius: Tensor) -> Tensor:
        square = (places**2).sum(1, keepdim=True) + (centres**2).sum(1) - 2 * (places @ centres.T)
        height = torch.exp(square.clamp(min=0.0) / (-2 * radius**2))
        low, high = GATE
        share = ((height.amax(1, keepdim=True) - low) / (high - low)).clamp(0, 1)
        gate = share * share * (3 - 2 * share)
        return gate / (height.sum(1, keepdim=True) + FLOOR) * (height @ weights)


class Phi(nn.Module):
    """Attributes and level (N, ATTRIBUTES), shape code (N, CODE) -> style (N, S).

    The first ``gains`` numbers of the style are relative gains of the atom's channels; the others are weights of its
    position layer. The code 0 is the mean of all shapes and moves nothing: without a code the atom is what it was
    before it learned of codes.
    """

    def __init__(self, config: AtomConfig, gains: int, style_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(ATTRIBUTES, config.phi_width)
        self.middle = nn.Linear(config.phi_width, config.phi_width)
        self.out = nn.Linear(config.phi_width, gains)
        self.code_in = nn.Linear(CODE, config.code_width)
        self.code_middle = nn.Linear(config.code_width + config.phi_width, config.code_width)
        self.code_out = nn.Linear(config.code_width, style_size, bias=False)
        for parameter in (*self.out.parameters(), *self.code_out.parameters()):
            nn.init.zeros_(parameter)
        self.beyond = style_size - gains

    def forward(self, attributes: Tensor, code: Tensor) -> Tensor:
        hidden = functional.silu(self.middle(functional.silu(self.hidden(attributes))))
        moved = self._heard(code, hidden) - self._heard(torch.zeros_like(code), hidden)
        return functional.pad(self.out(hidden), (0, self.beyond)) + self.code_out(moved)

    def _heard(self, code: Tensor, hidden: Tensor) -> Tensor:
        return functional.silu(self.code_middle(torch.cat([functional.silu(self.code_in(code)), hidden], dim=1)))


class StyledBlock(nn.Module):
    """Two convolutions around a skip; the style scales the channels between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(width, width, 3, padding=1)
        self.second = nn.Conv3d(width, width, 3, padding=1)
        # every block begins as the identity
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, gain: Tensor) -> Tensor:
        return x + self.second(functional.relu(self.first(x)) * gain)


class LocalPlanes(nn.Module):
    """Evidence (N, 5, 32, 32, 32), blurred by ``sigma`` voxels -> how well each voxel is known (N, 1, ...) in 0 .. 1,
    mean normal (N, 3, ...), and signed distance to the local planes (N, 1, ...), less where little is known.

    The distance is that of implicit moving least squares (Kolluri 2005; Shen et al. 2004): the Gaussian mean of
    (x - p) . n over the points p with normals n, computed exactly from the blurred sums of n and n . p.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.band = nn.Buffer(gaussian_band(sigma), persistent=False)
        axis = torch.arange(BLOCK, dtype=torch.float32) - (BLOCK - 1) / 2
        self.grid = nn.Buffer(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))[None], persistent=False)

    def forward(self, evidence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        blurred = separable(evidence, self.band)
        weight, normal, moment = blurred[:, :1], blurred[:, 1:4], blurred[:, 4:]
        share = 1 / (weight + 1e-4)
        distance = ((self.grid * normal).sum(1, keepdim=True) - moment) * share
        known = weight / (weight + 0.02)
        return known, normal * share, distance.clamp(-TRUNCATION, TRUNCATION) * known


def separable(volume: Tensor, band: Tensor) -> Tensor:
    """``band`` (m, n) along the three axes of (N, C, n, n, n): matrix products, no convolution kernels."""
    count, channels, (m, n) = volume.shape[0], volume.shape[1], band.shape
    volume = band @ volume.reshape(count, channels, n, n * n)
    volume = band @ volume.reshape(count, channels, m, n, n)
    return volume @ band.T


def gaussian_band(sigma: float, size: int = BLOCK) -> Tensor:
    """(size, size) matrix that blurs a line of voxels with a Gaussian, cut at four sigma and at the block's ends.

    Uncut, its tails are denormal numbers, which make a processor a hundred times slower.
    """
    index = torch.arange(size, dtype=torch.float64)
    offset = (index[:, None] - index[None, :]) / sigma
    weight = torch.exp(-0.5 * offset**2) / (sigma * math.sqrt(2 * math.pi))
    return torch.where(offset.abs() <= 4, weight, 0.0).float()


def binomial_band(size: int = BLOCK) -> Tensor:
    """(size, size) matrix of the [1 2 1] / 4 filter with replicated ends. It removes the checkerboard that sub-voxel
    heads would leave."""
    units = functional.pad(torch.eye(size)[None], (1, 1), mode="replicate")[0]
    return ((units[:, :-2] + 2 * units[:, 1:-1] + units[:, 2:]) / 4).T.contiguous()


def interpolation_band(size: int = BLOCK) -> Tensor:
    """(size, size / 2 + 2) matrix: linear interpolation from parent voxel centres (one halo voxel on each side)."""
    return doubling_band(size // 2 + 2)[2:-2].contiguous()


def doubling_band(size: int) -> Tensor:
    """(2 size, size) matrix: linear interpolation to twice the resolution, ends held."""
    return functional.interpolate(torch.eye(size)[None], scale_factor=2, mode="linear")[0].T.contiguous()


def depth_to_space(volume: Tensor) -> Tensor:
    """(N, 8C, n, n, n) -> (N, C, 2n, 2n, 2n)."""
    count, channels, size = volume.shape[0], volume.shape[1] // 8, volume.shape[2]
    volume = volume.reshape(count, channels, 2, 2, 2, size, size, size)
    return volume.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(count, channels, 2 * size, 2 * size, 2 * size)
