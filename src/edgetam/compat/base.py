"""What the published models and predictors have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgetam.compat.settings import Settings
from edgetam.engine import Engine
from edgetam.engine.torch import TorchEngine
from edgetam.errors import EngineError, PromptError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Option", "SAM2Base", "to_array", "to_labels"]

LABELS = range(-1, 4)
"""Nothing, elsewhere, the object, and the corners of a box."""


class Option:
    """An attribute that published scripts read and set: the option of that name in ``settings``.

    What is set takes effect from the next call on, or from the next frame that is tracked.

    Raises:
        ConfigError: set to a value it cannot have.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, model: SAM2Base | None, owner: type) -> Any:
        return self if model is None else getattr(model.settings, self._name)

    def __set__(self, model: SAM2Base, value: Any) -> None:
        model.settings = model.settings.with_option(self._name, value)


class SAM2Base:
    """A model as ``build_sam2`` hands it out: weights on a runtime, and the options it was built with.

    It is not a `torch.nn.Module`: train with ``edgetam train`` instead.
    """

    binarize_mask_from_pts_for_mem_enc = Option()
    max_cond_frames_in_attn = Option()
    memory_temporal_stride_for_eval = Option()
    non_overlap_masks_for_mem_enc = Option()

    def __init__(self, engine: Engine, settings: Settings | None = None) -> None:
        self.engine = engine
        self.settings = settings or Settings()

    @property
    def device(self) -> torch.device:
        """Where tensors are handed out."""
        device = getattr(self.engine, "device", "cpu")
        return device if isinstance(device, torch.device) else torch.device("cpu")

    @property
    def image_size(self) -> int:
        """Side images are resized to."""
        return self.engine.config.image_size

    def eval(self) -> Self:
        """Nothing to do: these models only infer."""
        return self

    def to(self, device: Any) -> Self:
        """Move to another device.

        Raises:
            EngineError: the device is not available, or the runtime is not PyTorch.
        """
        if torch.device(device) == self.device:
            return self
        if not isinstance(self.engine, TorchEngine):
            raise EngineError(
                f"The model cannot move to {device}, its runtime is not PyTorch; build with engine='torch'."
            )
        self.engine = TorchEngine(self.engine.model, str(device), self.engine.precision, fold=False)
        return self


def to_array(value: Any, dtype: Any, what: str) -> NDArray[Any]:
    """A tensor, an array or nested lists as an array of its own: the caller may reuse theirs.

    Raises:
        PromptError: it is none of them, or holds NaN or infinity.
    """
    try:
        if isinstance(value, torch.Tensor):
            tensor = value.detach().cpu()
            # NumPy has no bfloat16
            value = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        with np.errstate(over="ignore"):  # too large a number becomes infinity, which is caught below
            array = np.array(value, dtype, order="C")  # laid out as it will be saved
    # the last is torch's word for tensors without numbers
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise PromptError(
            f"{what} is {value!r}; expected numbers in a list, an array or a tensor."
        ) from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise PromptError(f"{what} holds NaN or infinity; expected numbers.")
    return array


def to_labels(value: Any, what: str) -> NDArray[np.int64]:
    """Labels of points as an array.

    Raises:
        PromptError: they are no numbers, or others than the published ones.
    """
    labels = to_array(value, np.float32, what)
    if not np.isin(labels, LABELS).all():
        raise PromptError(f"{what} are {labels.tolist()}; expected 1 for the object, 0 for anything else.")
    return labels.astype(np.int64)
