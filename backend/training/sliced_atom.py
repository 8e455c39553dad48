"""The atom as its graph computes it: the same weights and the same field, in half the time of a processor.

ONNX Runtime copies the neighbourhood of every voxel before it convolves a volume; it convolves pictures in place. So
volumes lie in slices here, (N, depth, C, height, width), and every convolution is one of pictures. Training keeps the
plain form, which is the faster one on a GPU.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..field.bricks import BLOCK, LOG_SCALE_LIMITS, TRUNCATION
from .atom import WAVES, Atom, StyledBlock, edited_field

MADE = 4
"""Slices that a tile of a transformed convolution makes."""
# F(4, 3): a tile of six slices, at six points, times the filter at these points, gives four slices.
AT_POINTS = torch.tensor(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]]
    + [[0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]],
    dtype=torch.float64,
)
FILTER_AT_POINTS = torch.tensor(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6]]
    + [[1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]],
    dtype=torch.float64,
)
FROM_POINTS = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64
)
ALL_SLICES = 1
"""The point whose picture goes as it is into every slice that is made: there the bias is added."""


class SlicedConvolution(nn.Module):
    """A 3^3 convolution with a border of zeros: (N, n, C, n, n) -> (N, n, O, n, n), n a multiple of `MADE`.

    Along the depth it is Winograd's minimal filter (Lavin and Gray 2016, 1509.09308): six convolutions of pictures make
    four slices, where one for each slice of the filter and of the result would be twelve.
    """

    def __init__(self, plain: nn.Conv3d, size: int) -> None:
        super().__init__()
        self.tiles = size // MADE
        points, width = AT_POINTS.shape
        spread, gather = torch.zeros(points, self.tiles, size + 2), torch.zeros(self.tiles, MADE, points, self.tiles)
        for tile in range(self.tiles):
            spread[:, tile, tile * MADE : tile * MADE + width] = AT_POINTS
            gather[tile, :, :, tile] = FROM_POINTS
        # slices beyond the ends are zero
        self.spread = nn.Buffer(spread[:, :, 1:-1].reshape(-1, size).contiguous())
        self.gather = nn.Buffer(gather.reshape(size, -1))
        self.points = nn.Buffer(FILTER_AT_POINTS.float())
        self.weight = nn.Buffer(plain.weight.permute(2, 0, 1, 3, 4).contiguous())
        self.bias = plain.bias

    def forward(self, volume: Tensor) -> Tensor:
        count, size, channels = volume.shape[:3]
        # of constants: the graph holds the weights as they are, and a session computes this once, when it opens
        filters = (self.points @ self.weight.flatten(1)).reshape(-1, *self.weight.shape[1:])
        pictures = (self.spread @ volume.reshape(count, size, -1)).split(self.tiles, dim=1)
        done = [
            functional.conv2d(
                picture.reshape(-1, channels, size, size), weight, self.bias if at == ALL_SLICES else None, padding=1
            ).reshape(count, self.tiles, -1)
            for at, (picture, weight) in enumerate(zip(pictures, filters, strict=True))
        ]
        return (self.gather @ torch.cat(done, dim=1)).reshape(count, size, -1, size, size)


class SlicedStep(nn.Module):
    """A convolution whose filter is as wide as its stride, 1 or 2: (N, n, C, n, n) -> (N, n / s, O, n / s, n / s)."""

    def __init__(self, plain: nn.Conv3d) -> None:
        super().__init__()
        self.stride = plain.stride[0]
        # the slices that one filter covers are channels of one picture
        self.weight = nn.Buffer(plain.weight.transpose(1, 2).flatten(1, 2).contiguous())
        self.bias = plain.bias

    def forward(self, volume: Tensor) -> Tensor:
        count, size, channels = volume.shape[:3]
        pictures = volume.reshape(-1, self.stride * channels, size, size)
        done = functional.conv2d(pictures, self.weight, self.bias, self.stride)
        side = size // self.stride
        return done.reshape(count, side, -1, side, side)


class SlicedBlock(nn.Module):
    """A `StyledBlock`, with gains (N, 1, C, 1, 1)."""

    def __init__(self, plain: StyledBlock, size: int) -> None:
        super().__init__()
        self.first, self.second = SlicedConvolution(plain.first, size), SlicedConvolution(plain.second, size)

    def forward(self, volume: Tensor, gain: Tensor) -> Tensor:
        return volume + self.second(functional.relu(self.first(volume)) * gain)


class SlicedAtom(nn.Module):
    """The field (N, 2, 32, 32, 32) that an `Atom` makes of the same inputs, but for rounding."""

    def __init__(self, atom: Atom) -> None:
        super().__init__()
        self.atom = atom
        half, quarter, eighth = BLOCK // 2, BLOCK // 4, BLOCK // 8
        self.stem, self.down_middle, self.down_coarse = map(SlicedStep, (atom.stem, atom.down_middle, atom.down_coarse))
        self.up_middle, self.up_fine = SlicedStep(atom.up_middle), SlicedStep(atom.up_fine)
        self.fine_in, self.fine_out = SlicedBlock(atom.fine_in, half), SlicedBlock(atom.fine_out, half)
        self.middle_in, self.middle_out = SlicedBlock(atom.middle_in, quarter), SlicedBlock(atom.middle_out, quarter)
        coarse = (block for block in atom.coarse if isinstance(block, StyledBlock))
        self.coarse = nn.ModuleList([SlicedBlock(block, eighth) for block in coarse])
        self.head = SlicedConvolution(atom.head, half)
        # the place is linear in the voxel: its layer is a part of the block's centre, and one of the voxel's
        place = atom.place.weight[:, :, 0, 0, 0]
        self.grid = nn.Buffer(torch.einsum("oc,cxyz->xoyz", place, atom.coarse_grid[0])[None].contiguous())
        self.centre = nn.Buffer(place.T.contiguous())
        # depth first: the two slices of a voxel of the head then follow one another
        order = torch.arange(24).reshape(3, 2, 2, 2).transpose(0, 1).flatten()
        self.head.weight = nn.Buffer(self.head.weight[:, order].contiguous())
        self.head.bias = nn.Parameter(atom.head.get_parameter("bias")[order])
        # its halves of a line lie one after the other, not in turn
        self.halves = nn.Buffer(atom.binomial.reshape(BLOCK, half, 2).transpose(1, 2).flatten(1).contiguous())

    def forward(
        self, evidence: Tensor, parent: Tensor, position: Tensor, style: Tensor, gain: Tensor, bias: Tensor
    ) -> Tensor:
        given = self.given(evidence.transpose(1, 2), parent.transpose(1, 2))
        field = self.field(self.trunk(given, position, style), given)
        return edited_field(field.transpose(1, 2), gain, bias)

    def given(self, evidence: Tensor, parent: Tensor) -> Tensor:
        """As of `Atom.given`, (N, 32, 12, 32, 32)."""
        known, normal, offset = self._planes(evidence, self.atom.sharp.band)
        known_soft, _, offset_soft = self._planes(evidence, self.atom.soft.band)
        above = along(parent, self.atom.upsample)
        mean = (2 * above[:, :, :1]).clamp(-TRUNCATION, TRUNCATION)
        spread = (above[:, :, 1:] + math.log(2)).clamp(*LOG_SCALE_LIMITS)
        gap = offset - known * mean
        parts = [known, normal, offset, known_soft, offset_soft, gap, mean, mean.abs(), spread, spread.exp()]
        return torch.cat(parts, dim=2)

    def _planes(self, evidence: Tensor, band: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As of `LocalPlanes`."""
        blurred = along(evidence, band)
        weight, normal, moment = blurred[:, :, :1], blurred[:, :, 1:4], blurred[:, :, 4:]
        share = 1 / (weight + 1e-4)
        distance = ((self.atom.sharp.grid.transpose(1, 2) * normal).sum(2, keepdim=True) - moment) * share
        known = weight / (weight + 0.02)
        return known, normal * share, distance.clamp(-TRUNCATION, TRUNCATION) * known

    def trunk(self, given: Tensor, position: Tensor, style: Tensor) -> Tensor:
        """The raw head (N, 16, 24, 16, 16), see `Atom.trunk`."""
        atom = self.atom
        scaled, placed = style.split([atom.gains, atom.style_size - atom.gains], dim=1)
        gains = [1 + part[:, None, :, None, None] for part in scaled.split(atom.gain_sizes, dim=1)]
        middle = position[:, :3] @ self.centre + atom.place.get_parameter("bias")
        place = self.grid * position[:, 3:, None, None, None] + middle[:, None, :, None, None]
        x16 = functional.relu(self.stem(given) + place + self.waves(placed, position))
        x16 = self.fine_in(x16, gains[0])
        x8 = self.middle_in(functional.relu(self.down_middle(x16)), gains[1])
        x4 = functional.relu(self.down_coarse(x8))
        for block, gain in zip(self.coarse, gains[2:4], strict=True):
            x4 = block(x4, gain)
        x8 = self.middle_out(x8 + along(self.up_middle(x4), atom.double_coarse), gains[4])
        x16 = self.fine_out(x16 + along(self.up_fine(x8), atom.double_middle), gains[5])
        return self.head(x16)

    def waves(self, weights: Tensor, position: Tensor) -> Tensor:
        """As of `Atom.waves`, (N, 16, fine, 16, 16)."""
        count, fine, half = position.shape[0], self.atom.config.widths[0], BLOCK // 2
        line = position[:, :3, None] + self.atom.line * position[:, 3:, None]
        wave = torch.cos((line[..., None] + 1) * self.atom.frequency)
        x, y, z = wave[:, 0], wave[:, 1], wave[:, 2]
        volume = weights.reshape(count, fine, WAVES, WAVES * WAVES).transpose(1, 2)
        volume = volume.reshape(count, WAVES * fine * WAVES, WAVES) @ z.mT
        volume = y[:, None] @ volume.reshape(count, WAVES * fine, WAVES, half)
        return (x @ volume.reshape(count, WAVES, -1)).reshape(count, half, fine, half, half)

    def field(self, raw: Tensor, given: Tensor) -> Tensor:
        """As of `Atom.field`, (N, 32, 2, 32, 32)."""
        count, half = raw.shape[0], BLOCK // 2
        raw = raw.reshape(count, BLOCK, 3, 2, 2, half, half).transpose(4, 5)
        raw = self.atom.binomial @ raw.reshape(count, BLOCK, -1)
        raw = self.halves @ raw.reshape(count, BLOCK, 3, BLOCK, BLOCK) @ self.halves.T
        known, offset, mean, spread = (given[:, :, at : at + 1] for at in (0, 4, 8, 10))
        trust = known * torch.sigmoid(raw[:, :, :1])
        mu = mean + trust * (offset / (known + 1e-4) - mean) + raw[:, :, 1:2]
        log_scale = (raw[:, :, 2:] + 0.5 * spread - 1.0).clamp(*LOG_SCALE_LIMITS)
        return torch.cat([mu, log_scale], dim=2)


def along(volume: Tensor, band: Tensor) -> Tensor:
    """``band`` (m, n) along depth, height and width of (N, n, C, n, n), see `separable`."""
    count, n, channels = volume.shape[:3]
    volume = (band @ volume.reshape(count, n, -1)).reshape(count, -1, channels, n, n)
    return band @ volume @ band.T
