"""The latent side of training: which code each sample is given, and what the encoder's posterior has to obey."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .batches import Bank
from .features import TURNS, turned_fields
from .flow import FlowConfig, Velocity, alignment_loss, train_flow
from .rollout import Recursion

TAUGHT, ABSENT = 0.35, 0.15
"""Shares of the samples that are given the true code of their shape, and none. The others get a draw of the encoder's
posterior. The true code says what the evidence cannot, so it is from there that the atom learns to listen to it."""
ANCHOR_WEIGHT, KL_WEIGHT, ALIGN_WEIGHT = 2.0, 0.01, 0.01
"""The last is the lambda of Li et al. 2025."""
DRAWS = 4
"""Times and noises per code in the alignment (``flow_mul`` of the paper)."""


def drawn_code(mean: Tensor, log_sd: Tensor, true: Tensor, evidence: Tensor, generator: torch.Generator) -> Tensor:
    """Code (B, CODE) of each sample; mean, log_sd of its posterior, true code, evidence of level 0."""
    kind = torch.rand(len(mean), 1, generator=generator, device=mean.device)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    blind = evidence[:, :1].flatten(1).amax(1, keepdim=True) == 0
    code = torch.where(kind < TAUGHT + ABSENT, torch.zeros_like(mean), mean + log_sd.exp() * noise)
    # without evidence only the true code tells one shape from another
    return torch.where((kind < TAUGHT) | blind, true, code)


def posterior_loss(
    mean: Tensor, log_sd: Tensor, true: Tensor, velocity: Velocity, generator: torch.Generator
) -> Tensor:
    """Anchor to the features of the true shape, KL to a standard normal, alignment of the means to the flow.

    The anchor is the likelihood of the true code under the posterior, so the posterior is wide where the evidence
    leaves the shape open, which is what makes its draws different completions.
    """
    anchor = (0.5 * ((true - mean) * torch.exp(-log_sd)).square() + log_sd).mean()
    kl = (0.5 * (mean.square() + torch.exp(2 * log_sd) - 1) - log_sd).mean()
    sample = mean + log_sd.exp() * torch.randn(mean.shape, generator=generator, device=mean.device)
    aligned = alignment_loss(velocity, sample, DRAWS, generator).mean()
    return ANCHOR_WEIGHT * anchor + KL_WEIGHT * kl + ALIGN_WEIGHT * aligned


def fitted_features(model: Recursion, bank: Bank, seed: int) -> Tensor:
    """Codes (n, CODE) of the shapes of the bank; the features are fitted first where the checkpoint has none."""
    generator = torch.Generator(device=model.features.mean.device).manual_seed(seed)
    fields = turned_fields(bank, TURNS, generator)
    if not model.features.fitted:
        model.features.fit(fields)
    return model.features(fields)


def flow_of(path: Path, codes: Tensor, seed: int) -> Velocity:
    """The flow over codes, trained once and kept at ``path``."""
    config = FlowConfig(seed=seed)
    if not path.exists():
        # its products are too small to be shared between threads
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        partial = path.with_suffix(".part")
        save_file(train_flow(codes, config, str(codes.device)).state_dict(), partial)
        os.replace(partial, path)
        torch.set_num_threads(threads)
    velocity = Velocity(codes.shape[1], config)
    velocity.load_state_dict(load_file(path))
    return velocity.to(codes.device).requires_grad_(False)
