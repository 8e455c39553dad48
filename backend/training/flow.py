"""A rectified flow over codes, and how a code is scored by it.

Li et al. 2025, "Aligning Latent Spaces with Flow Priors" (2506.05240), sections 3 and 4: the velocity v is trained on
target features x1 with

    L_FM = E |v((1 - t) x0 + t x1, t) - (x1 - x0)|^2,    x0 ~ N(0, I), t ~ U[0, 1], t = 1 at the data,

and, frozen, scores a code y by the same expression with y for x1: L_align(y), the mean over dimensions. Half of L can
never be predicted (a Gaussian's data score pi/2, its mean pi/4), so L has its minimum at the modes and not at the
data: what follows it stops at the score of the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..prior import velocity as plain
from ..prior.flow import LEVELS, WHOLE, FlowPrior, ScoreQuantiles
from .checkpoint import load_tensors, save_tensors

VelocityField = Callable[[Tensor, Tensor], Tensor]  # points (n, d) and times (n,) in [0, 1] -> velocities (n, d)


@dataclass(frozen=True)
class FlowConfig:
    """Sizes of the network, and how it is trained."""

    width: int = 256
    blocks: int = 3
    times: int = 12  # cosines of the time that every block sees
    steps: int = 4000
    batch: int = 512
    rate: float = 1e-3
    average: float = 0.998  # of the running mean of the weights, which is what is returned
    floor: float = 1e-3  # least variance along a direction for whitening, as a share of the mean one
    seed: int = 0


class TimedBlock(nn.Module):
    """h + W2 silu(W1 h + time)."""

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.time = nn.Linear(times, width, bias=False)
        self.second = nn.Linear(width, width)
        # every block begins as the identity
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        return h + self.second(functional.silu(self.first(h) + self.time(time)))


class VelocityNetwork(nn.Module):
    """The optimal velocity of a Gaussian of the features' own mean and covariance, plus what a network adds to it.

    It works in whitened coordinates, where that Gaussian is N(0, I); `whiten` leads there. A point at time t is then
    a sample of N(0, s^2 I), s^2 = t^2 + (1 - t)^2: the network sees x / s, and its output is scaled by the spread of
    x1 - x0 that x leaves open, 1 / s. Far from all data, where the network has learned nothing, the Gaussian holds.
    """

    def __init__(self, size: int, config: FlowConfig) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(size))
        self.whitening = nn.Buffer(torch.eye(size))
        self.enter = nn.Linear(size, config.width)
        self.blocks = nn.ModuleList(TimedBlock(config.width, config.times) for _ in range(config.blocks))
        self.leave = nn.Linear(config.width, size)
        self.times = config.times
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def whiten(self, codes: Tensor) -> Tensor:
        """(..., d) codes -> (..., d) whitened, differentiable."""
        return (codes - self.mean) @ self.whitening

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """(n, d) whitened points, (n,) times -> (n, d) velocities."""
        t = t[:, None].to(x.dtype)
        time = torch.cos(math.pi * t * torch.arange(1, self.times + 1, device=t.device))
        square = t**2 + (1 - t) ** 2
        h = self.enter(x * square.rsqrt())
        for block in self.blocks:
            h = block(h, time)
        return (2 * t - 1) / square * x + square.rsqrt() * self.leave(functional.silu(h))


def whitening_of(features: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Mean (d,) and the symmetric matrix (d, d) that whitens (n, d) features."""
    mean = features.double().mean(0)
    centred = features.double() - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(features))
    values = values.clamp(min=float(floor * values.mean()))
    return mean.float(), (vectors * values.rsqrt() @ vectors.T).float()


def draw_pairs(
    count: int, size: int, draws: int, generator: torch.Generator, span: tuple[float, float] = WHOLE
) -> tuple[Tensor, Tensor]:
    """Times (count, draws), one in each of ``draws`` equal parts of ``span``, and starts x0 (count, draws, size)."""
    device = generator.device
    times = (torch.arange(draws, device=device) + torch.rand(count, draws, generator=generator, device=device)) / draws
    times = span[0] + (span[1] - span[0]) * times
    return times, torch.randn(count, draws, size, generator=generator, device=device)


def alignment(field: VelocityField, points: Tensor, times: Tensor, starts: Tensor) -> Tensor:
    """L_align (B,) of whitened points (B, d) over the given times (B or 1, draws) and starts (B or 1, draws, d)."""
    end = points[:, None, :]
    at = times[..., None]
    mixed = (1 - at) * starts + at * end
    draws, size = mixed.shape[1:]
    flat_times = times.expand(len(points), draws).reshape(-1)
    predicted = field(mixed.reshape(-1, size), flat_times).reshape(mixed.shape)
    return (predicted - (end - starts)).square().mean((1, 2))


def alignment_loss(velocity: VelocityNetwork, codes: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """L_align (B,) of codes (B, d), in the features' own coordinates, over ``draws`` fresh stratified (t, x0) each. The
    gradient runs through the velocity: with its input detached, as in the paper's code by a flag, alignment stalls."""
    return alignment(velocity, velocity.whiten(codes), *draw_pairs(len(codes), codes.shape[1], draws, generator))


def train_flow(features: Tensor, config: FlowConfig = FlowConfig(), device: str = "cpu") -> VelocityNetwork:
    """The frozen velocity of (n, d) features: the running average of the weights over a cosine schedule of Adam, the
    same for the same seed, device and thread count."""
    features = features.to(device, torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        velocity = VelocityNetwork(features.shape[1], config)
    mean, whitening = whitening_of(features, config.floor)
    velocity.mean.copy_(mean)
    velocity.whitening.copy_(whitening)
    velocity.to(device)
    points = velocity.whiten(features)
    generator = torch.Generator(device=device).manual_seed(config.seed)
    optimiser = torch.optim.Adam(velocity.parameters(), lr=config.rate)
    parameters = list(velocity.parameters())
    average = [parameter.detach().clone() for parameter in parameters]
    for step in range(config.steps):
        share = step / config.steps
        for group in optimiser.param_groups:
            group["lr"] = config.rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * share))
        chosen = torch.randint(len(points), (config.batch,), generator=generator, device=device)
        starts = torch.randn(config.batch, 1, points.shape[1], generator=generator, device=device)
        # strata over the batch, since there is one draw for each feature
        part = torch.arange(config.batch, device=device)
        times = (part + torch.rand(config.batch, generator=generator, device=device)) / config.batch
        loss = alignment(velocity, points[chosen], times[:, None], starts).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        # a short average at first, when the weights move fast
        keep = min(config.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for shadow, parameter in zip(average, parameters, strict=True):
                shadow.lerp_(parameter, 1 - keep)
    torch.nn.utils.vector_to_parameters(torch.nn.utils.parameters_to_vector(average), parameters)
    return velocity.eval().requires_grad_(False)


def flow_of(path: Path, codes: Tensor, seed: int) -> VelocityNetwork:
    """The flow over codes (n, d), trained where there is none at ``path`` and kept there."""
    config = FlowConfig(seed=seed)
    if not path.exists():
        # its products are too small to be shared between threads
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        save_tensors(path, train_flow(codes, config, str(codes.device)).state_dict())
        torch.set_num_threads(threads)
    velocity = VelocityNetwork(codes.shape[1], config)
    velocity.load_state_dict(load_tensors(path)[0])
    return velocity.to(codes.device).requires_grad_(False)


def as_prior(velocity: VelocityNetwork, held_out: Tensor) -> FlowPrior:
    """The flow for run time, in numpy, calibrated on codes (n, d) that it was not trained on."""
    state = {name: value.cpu().numpy().copy() for name, value in velocity.state_dict().items()}
    parts = ("first.weight", "first.bias", "time.weight", "second.weight", "second.bias")
    blocks = tuple(plain.Block(*(state[f"blocks.{at}.{part}"] for part in parts)) for at in range(len(velocity.blocks)))
    enter, leave = ((state[f"{name}.weight"], state[f"{name}.bias"]) for name in ("enter", "leave"))
    network = plain.Velocity(*enter, blocks, *leave)
    nothing = ScoreQuantiles(np.zeros(len(LEVELS), np.float32))
    bare, codes = FlowPrior(state["mean"], state["whitening"], network, nothing, nothing), held_out.cpu().numpy()
    closeness, plausibility = ScoreQuantiles.of(bare.alignment(codes)), ScoreQuantiles.of(bare.score(codes))
    return replace(bare, closeness=closeness, plausibility=plausibility)


def export_flow(path: Path, velocity: VelocityNetwork, held_out: Tensor) -> FlowPrior:
    """Write ``flow.safetensors``: the velocity, the codes' mean and whitening, quantiles of held-out scores."""
    prior = as_prior(velocity, held_out)
    prior.save(path)
    return prior
