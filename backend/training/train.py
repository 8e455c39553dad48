"""`omomi train`: trains the recursion on the bank, with checkpoints, resume, a log and a held-out evaluation."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .atom import AtomConfig
from .bank import DEEPEST, Bank, fill_bank, turned_fields
from .checkpoint import load_checkpoint, parameters_in, save_checkpoint
from .flow import flow_of
from .grids import Batch
from .objective import TrainConfig, evaluate, learn_from, rate_at
from .recursion import Recursion
from .release import STUDY, release

TURNS = 8  # random symmetries of the cube under which every shape of the bank counts when features and flow are fitted
SETTINGS = {  # of `TrainConfig`: options of the command, with their help
    "minutes": "wall-clock time of training, all runs together",
    "batch": "scans in a step",
    "rate": "learning rate",
    "evenness": "small: precise where the scan saw the surface; large: plausible where it did not",
    "tuned": "share of the rate for the weights that --from brings along; 0 keeps them",
    "depth": "deepest level that is trained",
    "blind": "share of the samples without evidence",
    "absent": "share of the samples without a code, as plain fits are",
    "seed": "of the weights and of all draws",
}


def drawn_ahead(bank: Bank, config: TrainConfig, generator: torch.Generator) -> Iterator[Batch]:
    """Batches without end; each is drawn in another thread while training uses the one before."""

    def draw() -> Batch:
        bank.refresh()
        deepest = float(torch.rand((), generator=generator, device=generator.device)) < config.deepest_share
        depth = DEEPEST if deepest else DEEPEST - 1
        return bank.draw(config.batch, min(depth, config.depth), generator, config.blind)

    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        coming = pool.submit(draw)
        while True:
            batch = coming.result()
            coming = pool.submit(draw)
            yield batch


def train(
    bank_folder: Path, checkpoint: Path, config: TrainConfig, device: str = "cpu", origin: Path | None = None
) -> None:
    """Train until the schedule is over. A ``checkpoint`` that exists is resumed; else ``origin`` gives the weights."""
    torch.manual_seed(config.seed)
    # without channels last the backward pass of bfloat16 convolutions at 4^3 takes twelve times as long on the CPU
    model = Recursion(AtomConfig()).to(device)
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    learned = set() if origin is None else parameters_in(origin)
    groups = [
        {"params": [p for name, p in model.named_parameters() if (name in learned) == tuned], "tuned": share}
        for tuned, share in ((False, 1.0), (True, config.tuned))
    ]
    if config.tuned == 0:
        for parameter in groups.pop()["params"]:
            parameter.requires_grad_(False)
    optimiser = torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.weight_decay, betas=(0.9, 0.98))
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    progress: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, model, average, optimiser)
    elif origin is not None:
        load_checkpoint(origin, model, average, None, whole=False)
    held_out, bank = Bank(bank_folder, held_out=True), Bank(bank_folder)
    velocity = flow_of(checkpoint.with_name("velocity.safetensors"), fitted_features(model, bank, 0), config.seed)
    generator = torch.Generator(device=device).manual_seed(config.seed + progress["step"])
    batches = drawn_ahead(bank, config, torch.Generator(device=device).manual_seed(config.seed + progress["step"] + 1))
    step, before = progress["step"], progress["seconds"]
    started = last_saved = time.monotonic()
    log = checkpoint.with_suffix(".jsonl").open("a")
    running: list[Tensor] = []
    for batch in batches:
        elapsed = before + time.monotonic() - started
        share = elapsed / (60 * config.minutes)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(config, step, share) * group["tuned"]
        running.append(learn_from(model, batch, velocity, config, optimiser, generator))
        # a short average at first, so that early evaluations are of the present model
        keep = min(config.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in model.named_parameters():
                average[name].lerp_(value, 1 - keep)
        step += 1

        over = share >= 1
        if step % 50 == 0 or over:
            row: dict = {"step": step, "minutes": round(elapsed / 60, 2)}
            row["loss"], row["latent"] = (round(value, 4) for value in torch.stack(running).mean(0).tolist())
            running.clear()
            row["shapes"] = len(bank.members)
            if step % 500 == 0 or over:
                shadow = Recursion(model.atom.config).to(device)
                shadow.load_state_dict(model.state_dict() | average)
                row |= evaluate(shadow, held_out, 6, 8)
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(json.dumps(row), flush=True)
        if over or time.monotonic() - last_saved > 120:
            save_checkpoint(checkpoint, model, average, optimiser, {"step": step, "seconds": elapsed})
            last_saved = time.monotonic()
        if over:
            return


def fitted_features(model: Recursion, bank: Bank, seed: int) -> Tensor:
    """Codes (n, CODE) of the shapes of the bank; the features are fitted first where the checkpoint has none."""
    generator = torch.Generator(device=model.features.mean.device).manual_seed(seed)
    fields = turned_fields(bank, TURNS, generator)
    if not model.features.fitted:
        model.features.fit(fields)
    return model.features(fields)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="omomi train",
        description="From nothing to a shipped model: bank of shapes, training, export, calibration. Resumes.",
    )
    parser.add_argument("folder", type=Path, help="holds the bank and the checkpoint; a second run resumes it")
    parser.add_argument("--bank", type=Path, help="a bank made before; the folder's own unless named")
    parser.add_argument("--shards", type=int, default=200, help="shards of the bank, each a draw of shapes")
    parser.add_argument("--members", type=int, default=8, help="shapes in a shard")
    for name, words in SETTINGS.items():
        default = getattr(TrainConfig, name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help=words)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--from", dest="origin", type=Path, help="checkpoint to start from, such as the shipped one")
    parser.add_argument("--out", type=Path, help="export the model into this folder and calibrate it")
    parser.add_argument("--calibration-scans", type=int, default=22, help="held-out scans that calibrate sigma")
    parser.add_argument("--no-study", action="store_true", help="skip the experiment with sliders of known factors")
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    config = TrainConfig(**{name: getattr(options, name) for name in SETTINGS})
    bank, checkpoint = options.bank or options.folder / "bank", options.folder / "atom.safetensors"
    options.folder.mkdir(parents=True, exist_ok=True)
    fill_bank(bank, options.shards, options.members, options.device)
    # fading gradients end as denormal numbers, which make a processor a hundred times slower
    torch.set_flush_denormal(True)
    train(bank, checkpoint, config, options.device, options.origin)
    torch.set_flush_denormal(False)
    if options.out:
        card = {"train": asdict(config), "shards": options.shards, "device": options.device}
        card |= last_evaluation(checkpoint.with_suffix(".jsonl"))
        study = None if options.no_study else STUDY
        release(checkpoint, bank, options.out, card, options.calibration_scans, study)


def last_evaluation(log: Path) -> dict:
    """Mean errors (voxels of each level) near the surface of held-out shapes, from the end of the log."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    last = next((row for row in reversed(rows) if "held_out_voxels" in row), {})
    return {name: value for name, value in last.items() if isinstance(value, list)}
