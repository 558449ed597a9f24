"""What engines convert from: weights that are read, with PyTorch, only when they are needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgetam.config import ModelConfig, config_from_fields, config_to_fields
from edgetam.engine.requirements import require_torch
from edgetam.engine.store import Store
from edgetam.engine.verbs import Constants
from edgetam.errors import WeightsError
from edgetam.weights.digest import weights_digest
from edgetam.weights.wanted import check_memory, check_partial, settle

if TYPE_CHECKING:
    from edgetam.engine.graphs import Graph
    from edgetam.model import EdgeTAM
    from edgetam.weights.load import LoadedWeights

__all__ = ["Facts", "Source"]

GRAPH_FORMAT = 12
"""Raised whenever graphs change, so that older conversions are not used; a test reminds of it."""
FACTS_FORMAT = 1
"""Raised whenever `Facts` are written down in another way."""
CONVERTING = "Converting a model, which is done once,"
ABSENT_POINTER, NO_MEMORY = "object_pointer.absent", "memory_attention.no_memory_embed"
"""Names of learned vectors that are used outside of graphs."""


class Facts(NamedTuple):
    """What is known of weights, without PyTorch if the cache knows it."""

    config: ModelConfig
    """Their own."""
    image_only: bool
    """Whether they lack the memory, and cannot track."""
    constants: Constants


class Source:
    """A network with weights, loaded when first needed.

    Args:
        digest: tells the weights from others.
        read: gives the weights.
        settle: the model to build, or an error, by what is known of them.
    """

    def __init__(
        self, digest: str, read: Callable[[], LoadedWeights], settle: Callable[[Facts], ModelConfig]
    ) -> None:
        self._digest, self._read, self._settle = digest, read, settle

    @classmethod
    def of_weights(
        cls, path: Path, name: str, image_size: int | None = None, partial: str | None = None
    ) -> Source:
        """Weights in a file; see `edgetam.load_model`.

        They are read when first needed, which raises WeightsError if the file is another one by then.

        Raises:
            WeightsError: the file cannot be read, or ``partial`` means nothing.
        """
        check_partial(partial)
        path = path.absolute()  # the process may go elsewhere before it is read
        digest = _hash(path)

        def read() -> LoadedWeights:
            from edgetam.weights.load import load_state

            try:
                return load_state(path, partial="image")  # whether that will do is settled below
            finally:  # also if that failed: half a file is one that something writes to
                _check_unchanged(path, digest)

        def model(facts: Facts) -> ModelConfig:
            try:
                check_memory(facts.config, partial, image_only=facts.image_only)
            except WeightsError as error:
                raise WeightsError(f"{path}: {error}") from error
            return settle(facts.config, name, image_size, path)

        return cls(digest, read, model)

    @classmethod
    def of_network(cls, network: EdgeTAM) -> Source:
        """A network in memory, in the form that is trained; it must not change afterwards."""
        from edgetam.weights.fingerprint import exact_hash
        from edgetam.weights.load import LoadedWeights

        weights = LoadedWeights(network.config, network.state_dict(), "native")
        return cls(exact_hash(weights.state), lambda: weights, lambda facts: network.config)

    @cached_property
    def facts(self) -> Facts:
        """What is known of the weights.

        Raises:
            WeightsError: they cannot be read.
            EngineError: they have to be, and PyTorch is not installed.
        """
        store = Store("weights", FACTS_FORMAT, self._digest)  # a temporary folder lives as long as this
        folder = store.get("facts", self._write_facts)
        facts = json.loads((folder / "facts.json").read_text())
        with np.load(folder / "constants.npz") as vectors:
            constants = Constants(vectors["absent_pointer"], vectors["no_memory"], facts["weights_id"])
        del store
        return Facts(config_from_fields(facts["config"]), facts["image_only"], constants)

    @cached_property
    def config(self) -> ModelConfig:
        """The model that is built from them.

        Raises:
            ConfigError: unknown variant or size.
            WeightsError: they cannot be read, or are not what was asked for.
            EngineError: as for `facts`.
        """
        return self._settle(self.facts)

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells its graphs from those of others."""
        return GRAPH_FORMAT, self._digest, self.config

    @cached_property
    def network(self) -> EdgeTAM:
        """The inference form.

        Raises:
            EngineError: PyTorch is not installed.
        """
        config = self.config
        require_torch(CONVERTING)
        from edgetam.model import inference_form
        from edgetam.weights.network import build_network

        network = inference_form(build_network(self._weights, config))
        del self._weights
        return network

    @cached_property
    def _weights(self) -> LoadedWeights:
        """Kept until the network is built: the file may be another one by then."""
        return self._read()

    def graph(self, name: str) -> Graph:
        """One of the verbs."""
        from edgetam.engine.graphs import make_graph

        return make_graph(name, self.network)

    def _write_facts(self, folder: Path) -> None:
        require_torch(CONVERTING)
        from edgetam.weights.fingerprint import fingerprint

        weights = self._weights
        facts = {
            "config": config_to_fields(weights.config),  # which may be of the file's own
            "image_only": weights.image_only,
            "weights_id": fingerprint(weights.state),
        }
        (folder / "facts.json").write_text(json.dumps(facts))
        absent, none = (weights.state.get(name) for name in (ABSENT_POINTER, NO_MEMORY))
        assert none is not None, "even images need it"
        np.savez(
            folder / "constants.npz",
            absent_pointer=np.full(none.numel(), np.nan, np.float32) if absent is None else absent.numpy(),
            no_memory=none.numpy(),
        )


def _check_unchanged(path: Path, digest: str) -> None:
    """What was read is kept under the hash of what was there before: it has to be the same."""
    if _hash(path) != digest:
        raise WeightsError(
            f"{path} has changed since this model was loaded, so the rest cannot be converted; load it "
            "again, or load a copy if something goes on writing to that file."
        )


def _hash(path: Path) -> str:
    try:
        return weights_digest(path)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror or error}); check the file and the disk."
        ) from error
