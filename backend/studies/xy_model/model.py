"""The two variational autoencoders: plain, and with mean and scale per site and the energy difference in its loss.

Both see (cos, sin) of the angles, since a raw angle jumps where it wraps, of configurations turned upright, since the
energy does not know the global angle. Same code size, same layers: they differ in output and loss alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from .angles import energy_difference, surprise

CODE, WIDTH = 64, 256
LEAST_LOG_SCALE, LARGEST_LOG_SCALE = -5.0, 2.0
ENERGY_WEIGHT = 600.0
"""Of the energy difference per site, where the likelihood counts 256 sites: enough to lead the scale, too little for
it to shrink the scale against the likelihood."""


class Layer(nn.Module):
    """A straight path, since waves of small angle are linear, and a bent one beside it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.straight = nn.Linear(inputs, outputs)
        self.into, self.out = nn.Linear(inputs, WIDTH), nn.Linear(WIDTH, outputs)

    def forward(self, values: Tensor) -> Tensor:
        return self.straight(values) + self.out(silu(self.into(values)))


@dataclass(frozen=True)
class Decoded:
    """vector (B, 2, L, L): mean (cos, sin), of any length; log_scale (B, L, L): of its noise, -inf for the plain model,
    which has none."""

    vector: Tensor
    log_scale: Tensor

    @property
    def angle(self) -> Tensor:
        """The mean decode (B, L, L)."""
        return torch.atan2(self.vector[:, 1], self.vector[:, 0])


class Vae(nn.Module):
    """Angles (B, L, L) <-> codes (B, CODE)."""

    def __init__(self, side: int, scaled: bool) -> None:
        super().__init__()
        self.side, self.scaled = side, scaled
        self.encoder = Layer(2 * side**2, 2 * CODE)
        self.decoder = Layer(CODE, (3 if scaled else 2) * side**2)

    def encode(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log sd (B, CODE) of the codes."""
        mean, log_sd = self.encoder(_vector(angle).flatten(1)).chunk(2, dim=1)
        return mean, log_sd.clamp(-6, 1)

    def decode(self, code: Tensor) -> Decoded:
        out = self.decoder(code).unflatten(1, (-1, self.side, self.side))
        if not self.scaled:
            return Decoded(out, torch.full_like(out[:, 0], -torch.inf))
        return Decoded(out[:, :2], (out[:, 2] - 1).clamp(LEAST_LOG_SCALE, LARGEST_LOG_SCALE))

    def loss(self, angle: Tensor, generator: torch.Generator) -> Tensor:
        """Negative evidence bound per configuration, with the energy difference where the model has a scale.

        The plain model's is Gaussian in (cos, sin) with the one variance that suits the batch best.
        """
        mean, log_sd = self.encode(angle)
        found = self.decode(mean + log_sd.exp() * torch.randn(mean.shape, generator=generator))
        if self.scaled:
            rebuilt = self.side**2 * surprise(found.angle, found.log_scale, angle)
            rebuilt = rebuilt + ENERGY_WEIGHT * energy_difference(found.angle, found.log_scale, angle)
        else:
            rebuilt = self.side**2 * (found.vector - _vector(angle)).square().mean().log()
        return rebuilt + divergence(mean, log_sd).sum(1).mean()


def divergence(mean: Tensor, log_sd: Tensor) -> Tensor:
    """From the standard normal (B, CODE), of each number of a code."""
    return 0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd


def train(angles: Tensor, scaled: bool, steps: int, seed: int, batch: int = 128, rate: float = 3e-3) -> Vae:
    """A model of upright configurations (n, L, L), shown shifted, transposed, mirrored: all as likely as they are."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Vae(angles.shape[1], scaled)
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        chosen = torch.randint(len(angles), (batch,), generator=generator)
        loss = model.loss(_moved(angles[chosen], generator), generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimiser.step()
        schedule.step()
    return model.eval()


def _vector(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _moved(angle: Tensor, generator: torch.Generator) -> Tensor:
    shift = torch.randint(angle.shape[1], (2,), generator=generator).tolist()
    transposed, mirrored, turned = torch.randint(2, (3,), generator=generator).tolist()
    angle = angle.roll(shift, (1, 2))
    angle = angle.transpose(1, 2) if transposed else angle
    angle = angle.flip(1) if mirrored else angle
    return -angle if turned else angle
