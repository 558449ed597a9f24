"""The mean of several weights of one network (Wortsman et al., "Model soups", arXiv 2203.05482)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from edgetam.config import differences
from edgetam.errors import WeightsError
from edgetam.weights.load import LoadedWeights, load_state, save_native

__all__ = ["average"]


def average(
    sources: Sequence[str | Path],
    target: str | Path,
    shares: Sequence[float] | None = None,
    dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write the mean of weights, which runs from the same weights are near enough for.

    Args:
        sources: two files or more that `load_state` reads. What is no floating point number is the first's.
        target: native file to write; replaced in one step.
        shares: how much each counts; alike if left out.
        dtype: storage type of floating point tensors.
        metadata: notes to keep, such as "licence".

    Raises:
        WeightsError: a file cannot be used, they are of different networks, or shares do not fit.
        OutputError: ``target`` cannot be written.
    """
    if len(sources) < 2:
        raise WeightsError(f"An average of {len(sources)} weights was asked for, expected two or more files.")
    shares = [1.0] * len(sources) if shares is None else shares
    if len(shares) != len(sources) or not all(math.isfinite(x) and x > 0 for x in shares):
        given = ", ".join(f"{x:g}" for x in shares)
        raise WeightsError(
            f"The shares are {given}, expected {len(sources)} numbers above 0: one for each of the files."
        )
    first = load_state(sources[0])
    total: dict[str, torch.Tensor] = {}
    for i, (source, share) in enumerate(zip(sources, shares, strict=True)):
        loaded = load_state(source) if i else first
        _check_alike(sources[0], first, source, loaded)
        for name, tensor in loaded.state.items():
            part = tensor.double() * (share / sum(shares))
            total[name] = total[name] + part if name in total else part
    state = {
        name: total[name].float() if tensor.is_floating_point() else tensor
        for name, tensor in first.state.items()
    }
    names = ", ".join(Path(source).name for source in sources)
    notes = {"provenance": f"average of {names}", **(metadata or {})}
    return save_native(target, state, first.config, notes, dtype)


def _check_alike(
    name: str | Path, first: LoadedWeights, other_name: str | Path, other: LoadedWeights
) -> None:
    if first.image_only or other.image_only:
        image_only = name if first.image_only else other_name
        raise WeightsError(f"{image_only} holds the image model only, expected complete weights to average.")
    differing = differences(first.config, other.config)
    if first.config.image_size != other.config.image_size:
        differing.append("image_size")
    if differing:
        raise WeightsError(
            f"{other_name} and {name} are of different networks (they differ in {', '.join(differing)}), "
            "expected weights of one: average what was trained from the same weights."
        )
