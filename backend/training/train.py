"""`omomi train`: trains the recursion on the bank, with checkpoints, resume, a log and a held-out evaluation."""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .atom import AtomConfig
from .bank import DEEPEST
from .batches import Bank, Batch
from .checkpoint import load_checkpoint, save_checkpoint
from .losses import SLOPE_WEIGHT, laplace_loss, mean_error, slope_loss
from .rollout import Recursion


@dataclass(frozen=True)
class TrainConfig:
    """minutes: wall-clock time that the learning rate's schedule spans, over all resumed runs together."""

    minutes: float = 60.0
    batch: int = 16
    rate: float = 2e-3
    weight_decay: float = 1e-3
    average: float = 0.998
    warm_up: int = 100
    deepest_share: float = 0.35
    seed: int = 0


def rate_at(config: TrainConfig, step: int, share: float) -> float:
    """Learning rate after ``share`` of the time: warm-up, then a cosine down to 1 %."""
    cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return config.rate * min(1.0, (step + 1) / config.warm_up) * cosine


def draw_filling(size: int, generator: torch.Generator) -> Tensor:
    """The hole-filling attribute of each sample: 0 for most, else anything in [-1, 1]."""
    device = generator.device
    value = 2 * torch.rand(size, generator=generator, device=device) - 1
    return torch.where(torch.rand(size, generator=generator, device=device) < 0.6, torch.zeros_like(value), value)


def estimated_noise(noise: Tensor, generator: torch.Generator) -> Tensor:
    """The noise as the engine would measure it: right within a factor of about 1.3."""
    return noise * torch.exp(0.25 * torch.randn(noise.shape, generator=generator, device=noise.device))


def loss_of(fields: list[Tensor], batch: Batch, filling: Tensor) -> Tensor:
    losses = [
        laplace_loss(field, target, filling) + SLOPE_WEIGHT * slope_loss(field, target)
        for field, target in zip(fields, batch.target, strict=True)
    ]
    return torch.stack(losses).mean()


@torch.no_grad()
def evaluate(model: Recursion, bank: Bank, batches: int, size: int, dtype: torch.dtype | None) -> list[float]:
    """Mean error (voxels of each level) near the surface on the held-out bank, always on the same draws."""
    device = next(model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(7)
    rows = []
    for _ in range(batches):
        batch = bank.draw(size, DEEPEST, generator)
        fields = model(batch, torch.zeros(size, device=device), batch.noise, dtype)
        rows.append([float(mean_error(field, target)) for field, target in zip(fields, batch.target, strict=True)])
    return [sum(column) / len(column) for column in zip(*rows, strict=True)]


def train(bank_folder: Path, checkpoint: Path, config: TrainConfig, device: str = "cpu") -> None:
    """Train until the schedule is over; ``checkpoint`` is resumed when it exists."""
    torch.set_flush_denormal(True)
    torch.manual_seed(config.seed)
    # without channels last the backward pass of bfloat16 convolutions at 4^3 takes twelve times as long on the CPU
    model = Recursion(AtomConfig()).to(device).to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.rate, weight_decay=config.weight_decay, betas=(0.9, 0.98))
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    progress = {"step": 0, "seconds": 0.0}
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, model, average, optimiser)
    held_out, bank = Bank(bank_folder, held_out=True), Bank(bank_folder)
    generator = torch.Generator(device=device).manual_seed(config.seed + progress["step"])
    dtype = torch.bfloat16
    step, before = progress["step"], progress["seconds"]
    started = last_saved = time.monotonic()
    log = checkpoint.with_suffix(".jsonl").open("a")
    running: list[Tensor] = []
    while True:
        elapsed = before + time.monotonic() - started
        share = elapsed / (60 * config.minutes)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(config, step, share)
        depth = DEEPEST if float(torch.rand((), generator=generator, device=device)) < config.deepest_share else DEEPEST - 1
        batch = bank.draw(config.batch, depth, generator)
        filling = draw_filling(config.batch, generator)
        fields = model(batch, filling, estimated_noise(batch.noise, generator), dtype)
        loss = loss_of(fields, batch, filling)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        # a short average at first, so that early evaluations are of the present model
        keep = min(config.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in model.named_parameters():
                average[name].lerp_(value, 1 - keep)
        running.append(loss.detach())
        step += 1

        over = share >= 1
        if step % 50 == 0 or over:
            row = {"step": step, "minutes": round(elapsed / 60, 2), "loss": round(float(torch.stack(running).mean()), 4)}
            running.clear()
            bank.refresh()
            row["shapes"] = len(bank.members)
            if step % 500 == 0 or over:
                shadow = Recursion(model.atom.config).to(device)
                shadow.load_state_dict(average, strict=False)
                row["held_out_voxels"] = [round(value, 4) for value in evaluate(shadow, held_out, 6, 8, dtype)]
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(json.dumps(row), flush=True)
        if over or time.monotonic() - last_saved > 120:
            save_checkpoint(checkpoint, model, average, optimiser, {"step": step, "seconds": elapsed})
            last_saved = time.monotonic()
        if over:
            return


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="omomi train", description="Train the recursion on a bank of shapes.")
    parser.add_argument("bank", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--minutes", type=float, default=TrainConfig.minutes)
    parser.add_argument("--batch", type=int, default=TrainConfig.batch)
    parser.add_argument("--rate", type=float, default=TrainConfig.rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    config = TrainConfig(minutes=options.minutes, batch=options.batch, rate=options.rate, seed=options.seed)
    train(options.bank, options.checkpoint, config, options.device)


if __name__ == "__main__":
    main()
