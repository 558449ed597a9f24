"""Train the first default weights: ``python -m edgetam.train.first --out runs/first --minutes 75``."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing

from edgetam.model import EdgeTAM
from edgetam.train.loop import Settings, Trainer
from edgetam.train.pool import Pool
from edgetam.train.setup import fresh_model
from edgetam.weights.load import save_native

__all__ = ["main"]

IMAGE_SIZE = 256
NOTES = {"licence": "Apache-2.0", "provenance": "trained by this project on clips it draws itself"}
ENOUGH = 200
"""Clips to wait for before training starts."""


def _start_drawing(folder: Path, most: int) -> subprocess.Popen[bytes]:
    """Draw clips in a second process that yields to the training."""
    command = [sys.executable, "-m", "edgetam.train.pool", str(folder), "--most", str(most)]
    return subprocess.Popen(["nice", "-n", "9", *command])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/first"))
    parser.add_argument("--pool", type=Path, help="folder of drawn clips; OUT/pool when left out")
    parser.add_argument("--clips", type=int, default=3000, help="clips to draw in all")
    parser.add_argument("--minutes", type=float, default=75.0)
    parser.add_argument("--processes", type=int, default=2, help="each trains on one core")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--float32", action="store_true", help="no bfloat16, for CPUs without it")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.pt")
    return parser.parse_args()


def _assist(model: EdgeTAM, settings: Settings, pool: Path, out: Path, elapsed: float) -> None:
    """What every process but the first does."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    trainer = Trainer(model, settings, Pool(pool, settings.seed), out)
    trainer.elapsed = elapsed
    trainer.assist()


def main() -> None:
    """Draw clips, train, and write ``OUT/weights.safetensors``."""
    given = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    folder = given.pool or given.out / "pool"
    running: list[Any] = [_start_drawing(folder, given.clips)]
    try:
        while running[0].poll() is None and len(list(folder.glob("*.npy"))) < min(ENOUGH, given.clips):
            time.sleep(1)
        settings = Settings(minutes=given.minutes, seed=given.seed, low_precision=not given.float32)
        model = fresh_model(IMAGE_SIZE, given.seed).share_memory()
        trainer = Trainer(model, settings, Pool(folder, given.seed), given.out)
        if given.resume:
            trainer.resume()
        for number in range(1, given.processes):
            other = replace(settings, seed=given.seed + 1000 * number)
            arguments = (model, other, folder, given.out, trainer.elapsed)
            running.append(multiprocessing.get_context("spawn").Process(target=_assist, args=arguments))
            running[-1].start()
        trainer.run()
        save_native(given.out / "weights.safetensors", trainer.average, metadata=NOTES, dtype="float16")
    finally:
        for process in running:
            process.terminate()


if __name__ == "__main__":
    main()
