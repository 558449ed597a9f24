"""Score weights at following a given mask: ``python -m benchmarks.first_weights WEIGHTS [--davis TAR]``.

Synthetic clips have seeds that training never uses. A tar of real sequences holds
``JPEGImages/NAME/NNNNN.jpg`` and ``Annotations/NAME/NNNNN.png``; they are squeezed to the network's square,
and the mask of the first frame is given. Beside every score stands what leaving the first mask where it is
would score.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from edgetam.model import EdgeTAM, build_model
from edgetam.model.mask_decoder import upsample
from edgetam.train.batches import normalise
from edgetam.train.evaluate import answers, held_out_scores
from edgetam.train.rollout import Plan, Task, roll_out
from edgetam.weights import load_into, load_state

SIDE = 256
VOID = 255


def sequences(path: Path) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.bool_]]]:
    """Yield name, frames ``[T, S, S, 3]`` and masks ``[T, S, S]`` of each sequence in a tar."""
    frames, masks = defaultdict(list), defaultdict(list)
    with tarfile.open(path) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            kind, _, rest = member.name.partition("/")
            if not member.isfile() or kind not in ("JPEGImages", "Annotations"):
                continue
            file = tar.extractfile(member)
            assert file is not None
            image = Image.open(io.BytesIO(file.read()))
            if kind == "JPEGImages":
                small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
                frames[rest.split("/")[0]].append(np.asarray(small))
            else:
                labels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.NEAREST))
                masks[rest.split("/")[0]].append((labels > 0) & (labels != VOID))
    for name in frames:
        yield name, np.stack(frames[name]), np.stack(masks[name])


@torch.no_grad()
def follow(model: EdgeTAM, frames: NDArray[np.uint8], first: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Masks ``[T - 1, S, S]`` of the frames after the first, from the mask of the first."""
    masks = torch.zeros(1, len(frames), SIDE, SIDE, dtype=torch.bool)
    masks[0, 0] = torch.from_numpy(first)
    task = Task(normalise(torch.from_numpy(frames))[None], masks, torch.zeros(1, dtype=torch.long))
    steps = roll_out(model, task, Plan("mask"), trust_presence=True)
    found: Tensor = upsample(answers(steps), SIDE)[0] > 0
    return found.numpy()


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Mean intersection over union of ``[T, S, S]``; 1 where both are empty."""
    union = (a | b).sum((1, 2))
    return float(np.where(union > 0, (a & b).sum((1, 2)) / np.maximum(union, 1), 1.0).mean())


def sheet(frames: NDArray[np.uint8], masks: NDArray[np.bool_], columns: int = 8) -> NDArray[np.uint8]:
    """Some frames side by side, masks in red: ``[S, columns * S, 3]``."""
    picked = np.linspace(0, len(frames) - 1, columns).astype(int)
    shown = frames[picked].astype(np.float32)
    shown[masks[picked]] = shown[masks[picked]] * 0.5 + np.array([255.0, 0.0, 0.0]) * 0.5
    return np.concatenate(list(shown.astype(np.uint8)), axis=1)


def score_real(model: EdgeTAM, path: Path, most: int, sheet_path: Path | None) -> None:
    """Print one line per sequence and their mean; draw one row per sequence."""
    rows, ours, copies = [], [], []
    for name, frames, masks in sequences(path):
        frames, masks = frames[:most], masks[:most]
        found = follow(model, frames, masks[0])
        ours.append(overlap(found, masks[1:]))
        copies.append(overlap(np.broadcast_to(masks[0], found.shape), masks[1:]))
        print(f"{name:20s} J {ours[-1]:.3f}  first mask {copies[-1]:.3f}  frames {len(found)}", flush=True)
        rows.append(sheet(frames, np.concatenate([masks[:1], found])))
    print(f"{'mean':20s} J {np.mean(ours):.3f}  first mask {np.mean(copies):.3f}")
    if sheet_path:
        Image.fromarray(np.concatenate(rows)).save(sheet_path)


def main() -> None:
    """Score weights on synthetic clips, and on real ones where given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("--davis", type=Path, help="tar of real sequences")
    parser.add_argument("--frames", type=int, default=10_000, help="use only the first so many of each")
    parser.add_argument("--sheet", type=Path, help="PNG to draw results into")
    parser.add_argument("--clips", type=int, default=24, help="synthetic clips; 0 for none")
    given = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_state(given.weights)
    model = build_model(replace(loaded.config, image_size=SIDE))
    load_into(model, loaded)
    if given.clips:
        print({name: round(value, 3) for name, value in held_out_scores(model, given.clips).items()})
    if given.davis:
        score_real(model, given.davis, given.frames, given.sheet)


if __name__ == "__main__":
    main()
