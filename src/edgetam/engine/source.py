"""What engines convert from: weights that are read, with PyTorch, only when they are needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgetam.config import ModelConfig, config_from_fields, config_to_fields
from edgetam.engine.requirements import require_torch
from edgetam.engine.store import Store
from edgetam.engine.verbs import Constants
from edgetam.errors import WeightsError
from edgetam.weights.cache import sha256_of

if TYPE_CHECKING:
    from edgetam.engine.graphs import Graph
    from edgetam.model import EdgeTAM

__all__ = ["Source"]

GRAPH_FORMAT = 10
"""Raised whenever graphs change, so that older conversions are not used."""


class Source:
    """A network with weights, loaded when first needed.

    Args:
        load: gives the network.
        *identity: what tells it from others.
    """

    def __init__(self, load: Callable[[], EdgeTAM], *identity: object) -> None:
        self._load = load
        self.identity = (GRAPH_FORMAT, *identity)

    @classmethod
    def of_weights(cls, path: Path, name: str, image_size: int | None, partial: str | None) -> Source:
        """Weights in a file; see `edgetam.load_model`.

        They are read when first needed, which raises WeightsError if the file is another one by then.

        Raises:
            WeightsError: the file cannot be read.
        """
        path = path.absolute()  # the process may go elsewhere before it is read
        digest = _digest(path)

        def load() -> EdgeTAM:
            from edgetam.weights.network import load_network

            try:
                return load_network(name, path, image_size=image_size, partial=partial)
            finally:  # also if that failed: half a file is one that something writes to
                _check_unchanged(path, digest)

        return cls(load, digest, name, image_size, partial)

    @classmethod
    def of_network(cls, network: EdgeTAM) -> Source:
        """A network in memory; it must not change afterwards."""
        digest = hashlib.sha256()
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
        return cls(lambda: network, digest.hexdigest(), network.config)

    @cached_property
    def network(self) -> EdgeTAM:
        """The inference form.

        Raises:
            EngineError: PyTorch is not installed.
        """
        require_torch("Converting a model, which is done once,")
        from edgetam.model import inference_form

        return inference_form(self._load())

    def graph(self, name: str) -> Graph:
        """One of the verbs."""
        from edgetam.engine.graphs import make_graph

        return make_graph(name, self.network)

    def facts(self, store: Store) -> tuple[ModelConfig, Constants]:
        """Configuration and constants, without PyTorch if the store knows them."""
        folder = store.get("facts", self._write_facts)
        facts = json.loads((folder / "facts.json").read_text())
        vectors = np.load(folder / "constants.npz")
        constants = Constants(vectors["absent_pointer"], vectors["no_memory"])
        return config_from_fields(facts["config"]), constants

    def _write_facts(self, folder: Path) -> None:
        network = self.network
        facts = {"config": config_to_fields(network.config)}  # which may be of the file's own
        (folder / "facts.json").write_text(json.dumps(facts))
        np.savez(
            folder / "constants.npz",
            absent_pointer=network.object_pointer.absent.numpy(),
            no_memory=network.memory_attention.no_memory_embed.numpy(),
        )


def _check_unchanged(path: Path, digest: str) -> None:
    """What was read is kept under the hash of what was there before: it has to be the same."""
    if _digest(path) != digest:
        raise WeightsError(
            f"{path} has changed since this model was loaded, so the rest cannot be converted; load it "
            "again, or load a copy if something goes on writing to that file."
        )


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror or error}); check the file and the disk."
        ) from error
