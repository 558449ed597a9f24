"""Many processes as one: what `torchrun` started, and sums over it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed

from edgetam.errors import EngineError

__all__ = ["add_up", "collect", "connected", "device_for", "rank", "world"]


def rank() -> int:
    """Number of this process, 0 when it is alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def device_for(name: str) -> torch.device:
    """Resolve ``auto`` or a torch device; with several GPUs every process of a machine gets its own.

    Raises:
        EngineError: the device is not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise EngineError(f"Device {name!r} is not available here ({reason}); use device=cpu.") from error
    return device


@contextmanager
def connected(device: torch.device) -> Iterator[None]:
    """Join the processes that `torchrun` started, if it did: NCCL between GPUs, Gloo otherwise."""
    if "RANK" not in os.environ or distributed.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def add_up(values: Tensor) -> Tensor:
    """The sum over all processes, on each of them, whatever device the values are on."""
    if world() == 1:
        return values
    where: torch.device | str = "cpu"  # not every device can be summed over with Gloo
    if distributed.get_backend() == "nccl":  # and with NCCL, no other than GPUs
        where = values.device if values.is_cuda else "cuda"
    summed = values.to(where, copy=True)
    distributed.all_reduce(summed)
    return summed.to(values.device)


def collect(value: Any) -> list[Any]:
    """What every process holds, in their order, on each of them."""
    if world() == 1:
        return [value]
    found: list[Any] = [None] * world()
    distributed.all_gather_object(found, value)
    return found
