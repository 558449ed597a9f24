"""Weights: where they come from, and how they get into a model.

`load_state` reads the official ``.pt``, Hugging Face's safetensors and our own, `convert` writes them and
`average` makes one of several; `resolve` turns names, addresses and paths into files. Reading is strict and
never runs code from a file. Finding files needs no PyTorch and hashing them no downloads, so parts are
imported when they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgetam.weights.bundled import bundled_path
from edgetam.weights.cache import cache_dir

if TYPE_CHECKING:
    from edgetam.weights.averaging import average
    from edgetam.weights.load import LoadedWeights, convert, load_into, load_state, load_weights, save_native
    from edgetam.weights.network import load_network
    from edgetam.weights.registry import REGISTRY, Published, download, resolve

__all__ = [
    "REGISTRY",
    "LoadedWeights",
    "Published",
    "average",
    "bundled_path",
    "cache_dir",
    "convert",
    "download",
    "load_into",
    "load_network",
    "load_state",
    "load_weights",
    "resolve",
    "save_native",
]

_HOMES = {
    "average": "averaging",
    "load_network": "network",
    **dict.fromkeys(("REGISTRY", "Published", "download", "resolve"), "registry"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'load')}"), name)
