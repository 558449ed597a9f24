"""Muon: matrices move in orthogonal steps, everything else as AdamW moves it.

K. Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024); the size of a step is that of
"Muon is scalable for LLM training" (arXiv 2502.16982), so that rates and decay found for AdamW keep their
meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from edgetam.train.ranks import add_up, rank, world

__all__ = ["Muon", "orthogonal"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial that, repeated, takes singular values to about 1: steep at 0, not exact at 1."""

ADAM_SIZE = 0.2
"""Root mean square of an update of AdamW at rate 1, about."""


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """The orthogonal matrix closest to a gradient, roughly: its singular values end between 0.7 and 1.2.

    Args:
        matrix: ``[rows, columns]``.
        steps: of the Newton-Schulz iteration, in bfloat16.

    Returns:
        bfloat16 ``[rows, columns]``.
    """
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.AdamW):
    """AdamW whose groups with ``matrix=True`` follow orthogonalised momentum instead.

    Filters count as matrices with a row per output channel. Processes of a run share the work, and their
    weights stay the same bit for bit.

    Args:
        groups: of parameters, as for AdamW.
        betas: AdamW's running means.
        momentum: share of the running mean of gradients that matrices keep per step.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, betas: tuple[float, float], momentum: float
    ) -> None:
        super().__init__(groups, lr=0.0, betas=betas, fused=True)
        for group in self.param_groups:
            group["momentum"] = momentum
            group["matrix"] = group.get("matrix", False)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move everything that has a gradient; those of matrices are used up."""
        assert closure is None
        moved = [
            (group, p)
            for group in self.param_groups
            if group["matrix"]
            for p in group["params"]
            if p.grad is not None
        ]
        directions = _shared([self._momentum(group, p) for group, p in moved])
        for (group, p), direction in zip(moved, directions, strict=True):
            size = group["lr"] * ADAM_SIZE * max(direction.shape) ** 0.5
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(direction.view(p.shape).to(p.dtype), alpha=-size)
            p.grad = None  # so that AdamW leaves it alone
        super().step()

    def _momentum(self, group: dict[str, Any], p: Tensor) -> Tensor:
        """Where Nesterov's momentum points, as a matrix."""
        assert p.grad is not None
        state = self.state[p]
        if not state:
            # AdamW counts steps too, and looks for the count wherever a state is loaded
            state["step"], state["momentum"] = torch.tensor(0.0), torch.zeros_like(p)
        state["step"] += 1
        mean = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
        return p.grad.lerp(mean, group["momentum"]).flatten(1)


def _shared(matrices: list[Tensor]) -> list[Tensor]:
    """All of them orthogonal, each by one of the processes."""
    if world() == 1 or not matrices:
        return [orthogonal(matrix) for matrix in matrices]
    sizes = [matrix.numel() for matrix in matrices]
    parts = list(torch.zeros(sum(sizes), dtype=torch.bfloat16, device=matrices[0].device).split(sizes))
    load = [0] * world()
    for i in sorted(range(len(matrices)), key=lambda i: -sizes[i] * min(matrices[i].shape)):
        owner = load.index(min(load))
        load[owner] += sizes[i] * min(matrices[i].shape)
        if owner == rank():
            parts[i].copy_(orthogonal(matrices[i]).flatten())
    summed = add_up(torch.cat(parts))
    return [part.view(m.shape) for part, m in zip(summed.split(sizes), matrices, strict=True)]
