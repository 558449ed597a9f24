"""Loading, saving and converting weights; strict in every direction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from edgetam.config import ModelConfig, differences
from edgetam.errors import WeightsError
from edgetam.model import EdgeTAM
from edgetam.weights.digest import CONFIG_KEY, FORMAT_KEY
from edgetam.weights.files import Checkpoint, read, write_safetensors, write_torch
from edgetam.weights.keymap import Tensors
from edgetam.weights.table import LAYOUTS, NATIVE, OFFICIAL, TABLE
from edgetam.weights.variant import (
    UNPLACED_EMBED,
    config_from_json,
    config_to_json,
    detect_layout,
    detect_variant,
    is_memory,
    skeleton,
)
from edgetam.weights.wanted import check_memory, check_partial

__all__ = ["DTYPES", "LoadedWeights", "convert", "load_into", "load_state", "load_weights", "save_native"]

FORMAT_VERSION = 1
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""Types a file can store; loading always gives float32."""

_EXAMPLES = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedWeights:
    """Weights in memory.

    Attributes:
        config: the model they belong to.
        state: tensors by native name; float32, counters int64.
        layout: of the file, "native", "official" or "hf".
        metadata: notes from the file's header.
        image_only: there is no memory, so these weights segment images but do not track.
    """

    config: ModelConfig
    state: Tensors
    layout: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    image_only: bool = False


def load_state(path: str | Path, partial: str | None = None) -> LoadedWeights:
    """Read a checkpoint of any known layout.

    Args:
        path: an official .pt, Hugging Face's or our own .safetensors.
        partial: "image" accepts files that hold the image model only.

    Raises:
        WeightsError: the file is damaged, unsafe, of another model, or has extra or missing tensors.
    """
    check_partial(partial)
    checkpoint = read(Path(path))
    try:
        return _interpret(checkpoint, partial)
    except WeightsError as error:
        if str(checkpoint.path) in str(error):
            raise
        raise WeightsError(f"{checkpoint.path}: {error}") from error


def _interpret(checkpoint: Checkpoint, partial: str | None) -> LoadedWeights:
    metadata = checkpoint.metadata
    layout = NATIVE if FORMAT_KEY in metadata else detect_layout(checkpoint.state)
    ours = {name: _ours(name, layout) for name in checkpoint.state}
    if CONFIG_KEY in metadata and FORMAT_KEY in metadata:
        _check_version(metadata)
        config = config_from_json(metadata[CONFIG_KEY])
    else:
        config = detect_variant(
            {own: tuple(checkpoint.state[name].shape) for name, own in ours.items() if own is not None}
        )
    expected = skeleton(config) if layout == NATIVE else TABLE.from_ours(skeleton(config), layout)
    missing = _missing(expected, checkpoint.state, layout)
    image_only = _lacks_memory(missing, layout, expected)
    check_memory(config, partial, image_only=image_only)
    _check_names(config, expected, checkpoint.state, [] if image_only else missing)
    state = dict(checkpoint.state) if layout == NATIVE else TABLE.to_ours(checkpoint.state, layout)
    state = _plain(state, skeleton(config))
    if layout == NATIVE:  # safetensors sorts by name; the model's order is the one to keep
        state = {name: state[name] for name in skeleton(config) if name in state}
    return LoadedWeights(config, state, layout, metadata, image_only)


def _ours(name: str, layout: str) -> str | None:
    if layout == NATIVE:
        return name
    match = TABLE.find(name, layout)
    return match.ours if match else None


def _check_version(metadata: Mapping[str, str]) -> None:
    version = metadata[FORMAT_KEY]
    if not version.isdecimal() or int(version) > FORMAT_VERSION:
        raise WeightsError(
            f"The file has format {version}, expected at most {FORMAT_VERSION}; upgrade edgetam to read it."
        )


def _missing(expected: Tensors, given: Mapping[str, torch.Tensor], layout: str) -> list[str]:
    missing = [name for name in expected if name not in given]
    if layout == NATIVE:
        return missing
    present = {_ours(name, layout) for name in given}
    matches = {name: TABLE.find(name, layout) for name in missing}
    return [
        name
        for name, match in matches.items()
        if match is None or match.names.how != "copies" or match.ours not in present
    ]


def _lacks_memory(missing: list[str], layout: str, expected: Tensors) -> bool:
    """Whether exactly the tensors that only video needs are missing."""
    memory = [name for name in expected if is_memory(_ours(name, layout) or "")]
    return missing == memory


def _check_names(
    config: ModelConfig, expected: Tensors, given: Mapping[str, torch.Tensor], missing: list[str]
) -> None:
    extra = [name for name in given if name not in expected]
    wrong = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in given and given[name].shape != expected[name].shape
    ]
    faults = [
        f"{what} {len(names)} ({', '.join(names[:_EXAMPLES])}{', ...' if len(names) > _EXAMPLES else ''})"
        for what, names in (("missing", missing), ("unexpected", extra), ("of another shape", wrong))
        if names
    ]
    if faults:
        raise WeightsError(
            f"The file looks like {config.name} but its tensors do not fit: {'; '.join(faults)}; expected "
            f"the {len(expected)} of {config.name}, so pass a complete file of one of the published models."
        )


def _plain(state: Tensors, expected: Tensors) -> Tensors:
    """Bring every tensor to float32 (or its integer type) and make sure that it is finite."""
    plain: Tensors = {}
    for name, tensor in state.items():
        target = expected[name].dtype
        if tensor.is_floating_point() != target.is_floating_point:
            raise WeightsError(f"{name} is {tensor.dtype}, expected {target}; the file is damaged.")
        # A copy: the tensor may lie in the file, which others may change.
        plain[name] = tensor.to(target, copy=True)
        if not _finite(plain[name]):
            raise WeightsError(f"{name} holds NaN or infinity, expected finite values; the file is damaged.")
    return plain


def _finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def load_weights(model: EdgeTAM, path: str | Path, partial: str | None = None) -> LoadedWeights:
    """Load the file at ``path`` into ``model``; arguments and errors are those of `load_state`."""
    loaded = load_state(path, partial)
    load_into(model, loaded)
    return loaded


def load_into(model: EdgeTAM, loaded: LoadedWeights) -> None:
    """Copy weights into ``model``.

    Where image-only weights have nothing to give, the model gets NaN: tracking with it
    must not look like an answer.

    Raises:
        WeightsError: they are of another model.
    """
    if differences(model.config, loaded.config):
        differing = ", ".join(differences(model.config, loaded.config))
        raise WeightsError(
            f"These are weights of {loaded.config.name} and the model is {model.config.name}; they differ in "
            f"{differing}: make the model's as the weights', or pass weights of {model.config.name}."
        )
    state = dict(loaded.state)
    for name, tensor in model.state_dict().items():
        if loaded.image_only and name not in state:
            state[name] = torch.full(tensor.shape, float("nan"), dtype=tensor.dtype)
    try:
        _copy(model, state)
    except RuntimeError as error:
        raise WeightsError(
            f"The model cannot take weights any more ({str(error).splitlines()[0]} ...); "
            "load them before folding or changing it."
        ) from error


def _copy(model: EdgeTAM, state: Tensors) -> None:
    # Parameters built without values (`without_values`) have nothing to copy into.
    empty = any(tensor.is_meta for tensor in model.state_dict().values())
    tensors = {name: tensor.clone() for name, tensor in state.items()} if empty else state
    model.load_state_dict(tensors, strict=True, assign=empty)


def save_native(
    path: str | Path,
    source: EdgeTAM | Mapping[str, torch.Tensor],
    config: ModelConfig | None = None,
    metadata: Mapping[str, str] | None = None,
    dtype: str = "float32",
) -> Path:
    """Write our own safetensors, with the configuration in its header.

    Args:
        path: file to write; replaced in one step.
        source: a model, or its state dict.
        config: of the state dict; models know theirs.
        metadata: notes to keep, such as "licence" and "provenance".
        dtype: storage type of floating point tensors, one of `DTYPES`.

    Raises:
        WeightsError: the tensors are not those of ``config``, or do not fit into ``dtype``.
        OutputError: the file cannot be written.
    """
    state = source.state_dict() if isinstance(source, EdgeTAM) else dict(source)
    config = config or (source.config if isinstance(source, EdgeTAM) else None)
    if config is None:
        raise WeightsError("A state dict was given without its configuration; pass config as well.")
    expected = skeleton(config)
    _check_names(config, expected, state, [name for name in expected if name not in state])
    notes = {"licence": "unknown", "provenance": "unknown", **(metadata or {})}
    notes |= {
        FORMAT_KEY: str(FORMAT_VERSION),
        CONFIG_KEY: config_to_json(config),
        "dtype": dtype,
        "format": "pt",
    }
    write_safetensors(Path(path), _stored(state, dtype), notes)
    return Path(path)


def _stored(state: Mapping[str, torch.Tensor], dtype: str) -> Tensors:
    if dtype not in DTYPES:
        raise WeightsError(
            f"dtype is {dtype!r}, expected one of {', '.join(DTYPES)}; leave it out for float32."
        )
    stored = {
        name: tensor.detach().to(DTYPES[dtype]) if tensor.is_floating_point() else tensor.detach()
        for name, tensor in state.items()
    }
    for name, tensor in stored.items():
        if not _finite(tensor):
            raise WeightsError(f"{name} is not finite in {dtype}; expected finite values, so try float32.")
    return stored


def convert(
    source: str | Path,
    target: str | Path,
    layout: str = NATIVE,
    dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write the weights in ``source`` to ``target`` in another layout.

    Args:
        source: a file that `load_state` reads.
        target: file to write; replaced in one step.
        layout: "native", "official" or "hf" (the latter for EdgeTAM only).
        dtype: storage type of floating point tensors, one of `DTYPES`.
        metadata: notes for a native file; those of the source are kept.

    Raises:
        WeightsError: ``source`` cannot be used, or the layout does not know its model.
        OutputError: ``target`` cannot be written.
    """
    if layout not in LAYOUTS:
        raise WeightsError(f"layout is {layout!r}, expected one of {', '.join(LAYOUTS)}.")
    loaded = load_state(source)
    if layout == NATIVE:
        provenance = f"converted from {Path(source).name} ({loaded.layout} layout)"
        notes = {"provenance": provenance, **loaded.metadata, **(metadata or {})}
        return save_native(target, loaded.state, loaded.config, notes, dtype)
    config = loaded.config
    if config.aligned_places or config.skips_absent or config.unplaced_embed:
        _log.warning(
            "%s reads its memories in a way of its own, which files of the %s layout cannot say: other code "
            "will run it, and track worse.",
            *(source, layout),
        )
    published = {name: tensor for name, tensor in loaded.state.items() if name != UNPLACED_EMBED}
    state = _stored(TABLE.from_ours(published, layout), dtype)
    if layout == OFFICIAL:
        write_torch(Path(target), state)
    else:
        write_safetensors(Path(target), state, {"format": "pt"})
    return Path(target)
