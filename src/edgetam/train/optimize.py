"""AdamW or Muon over groups of weights, and a moving average of them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from edgetam.model import EdgeTAM
from edgetam.train.muon import Muon
from edgetam.train.ranks import add_up, world
from edgetam.train.recipe import Optimizer

__all__ = ["follow", "make_average", "make_optimizer", "restore_optimizer", "set_rates", "share_norms"]

ENCODER = "image_encoder."
NARROWEST = 16
"""Muon leaves matrices with fewer rows or columns to AdamW."""


def make_optimizer(model: EdgeTAM, guides: nn.Module, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW, or Muon, with a group per rate and decay: encoder and the rest; only matrices and filters decay.

    Guides learn at the rate of the encoder, never decay, and are AdamW's.
    """
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    matrices = _matrices(model) if settings.kind == "muon" else set()
    for name, parameter in model.named_parameters():
        decays = parameter.ndim >= 2 and name.endswith("weight")
        kind = (name.startswith(ENCODER), decays, name in matrices)
        groups.setdefault(kind, []).append(parameter)
    listed: list[dict[str, Any]] = [
        {
            "params": parameters,
            "encoder": encoder,
            "weight_decay": settings.weight_decay if decays else 0.0,
            **({"matrix": True} if matrix else {}),
        }
        for (encoder, decays, matrix), parameters in groups.items()
    ]
    helpers = list(guides.parameters())
    if helpers:
        listed.append({"params": helpers, "encoder": True, "weight_decay": 0.0, "guides": True})
    if settings.kind == "muon":
        return Muon(listed, betas=settings.betas, momentum=settings.momentum)
    return torch.optim.AdamW(listed, lr=0.0, betas=settings.betas, fused=True)


def _matrices(model: nn.Module) -> set[str]:
    """Names of the weights that Muon moves: linear layers and convolutions, but for the narrowest.

    Filters per channel and rows of embeddings have nothing to do with each other, and the last layers of
    heads have no spectrum to speak of.
    """
    return {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
        and getattr(module, "groups", 1) == 1
        and min(module.weight.flatten(1).shape) >= NARROWEST
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, state: dict[str, Any], *, guides: bool = True
) -> None:
    """Load running means, but keep the settings of now: PyTorch would bring back those of then.

    Without ``guides``, theirs begin anew, however many there were and are. All begins anew where Muon takes
    the place of AdamW, or the other way round.
    """
    kinds = [any("matrix" in g for g in groups) for groups in (optimizer.param_groups, state["param_groups"])]
    if kinds[0] != kinds[1]:
        return
    if not guides:
        state = {**state, "param_groups": _with_other_guides(optimizer, state["param_groups"])}
        kept = {
            number for group in state["param_groups"] for number in group["params"] if "guides" not in group
        }
        state["state"] = {number: value for number, value in state["state"].items() if number in kept}
    settings = [{key: value for key, value in g.items() if key != "params"} for g in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def _with_other_guides(optimizer: torch.optim.Optimizer, saved: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of the network as saved, and those of the guides as they are now, under new numbers."""
    now = optimizer.param_groups
    network = saved[: sum("guides" not in group for group in now)]
    first = sum(len(group["params"]) for group in network)
    guides = [
        {**group, "params": list(range(first, first + len(group["params"])))}
        for group in now
        if "guides" in group
    ]
    return network + guides


def set_rates(optimizer: torch.optim.Optimizer, encoder: float, rest: float) -> None:
    """Set the learning rates of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = encoder if group["encoder"] else rest


def make_average(model: EdgeTAM) -> EdgeTAM:
    """A copy that will follow the model."""
    return copy.deepcopy(model).eval().requires_grad_(False)


@torch.no_grad()
def follow(average: EdgeTAM, model: EdgeTAM, keep: float, step: int) -> None:
    """Move the average towards the model, faster while ``step`` is small; norms' statistics follow too."""
    keep = min(keep, (1 + step) / (10 + step)) if keep else 0.0
    pairs = zip(average.state_dict().values(), model.state_dict().values(), strict=True)
    floats = [(a, b) for a, b in pairs if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1.0 - keep)


@torch.no_grad()
def share_norms(model: EdgeTAM) -> None:
    """Give batch norms the mean of all processes' running statistics; each normalises with its own batch."""
    if world() == 1:
        return
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    running = [x for norm in norms for x in (norm.running_mean, norm.running_var) if x is not None]
    means = add_up(torch.cat([x.flatten() for x in running])) / world()
    for x, mean in zip(running, means.split([x.numel() for x in running]), strict=True):
        x.copy_(mean)
