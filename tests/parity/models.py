"""Networks and predictors with the weights of a folder."""

from __future__ import annotations

from pathlib import Path

import torch

from edgetam.compat.sam2 import SAM2Base, SAM2VideoPredictor, build_sam2, build_sam2_video_predictor
from edgetam.config import get_config
from edgetam.model import EdgeTAM
from edgetam.weights import load_network
from edgetam.weights.table import OFFICIAL, TABLE
from edgetam.weights.variant import skeleton
from tests.parity.golden import Rule
from tests.parity.rules import PRESENCE_BIAS, state_dict

NO_HOLES = "++model.fill_hole_area=0"
"""The published numbers were made on a CPU, where published code fills no holes."""


class Models:
    """Checkpoints in the official format are written once and loaded like anybody's."""

    def __init__(self, rule: Rule, folder: Path) -> None:
        self.rule = rule
        self.folder = folder

    def checkpoint(self, variant: str = "edgetam", shift: float = 0.0) -> Path:
        """An official ``.pt``; ``shift`` moves the presence score."""
        path = self.folder / f"{variant}{shift:+g}.pt"
        if not path.exists():
            theirs = TABLE.from_ours(skeleton(get_config(variant)), OFFICIAL)
            shapes = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
            arrays = state_dict(shapes, self.rule.seed, self.rule.presence_bias)
            state = {name: torch.from_numpy(array) for name, array in arrays.items()}
            state[PRESENCE_BIAS] = state[PRESENCE_BIAS] + shift
            torch.save({"model": state}, path)
        return path

    def network(self, variant: str = "edgetam", shift: float = 0.0) -> EdgeTAM:
        """The bare network, not folded."""
        return load_network(variant, self.checkpoint(variant, shift))

    def image(self, variant: str = "edgetam") -> SAM2Base:
        """For the image predictor."""
        return build_sam2(variant, self.checkpoint(variant), device="cpu")

    def video(
        self,
        variant: str = "edgetam",
        overrides: list[str] | None = None,
        shift: float = 0.0,
        *,
        exact_memory: bool = False,
    ) -> SAM2VideoPredictor:
        """For the video predictor; ``overrides=None`` is the published ``apply_postprocessing=False``."""
        return build_sam2_video_predictor(
            variant,
            self.checkpoint(variant, shift),
            device="cpu",
            hydra_overrides_extra=[*(overrides or []), NO_HOLES],
            apply_postprocessing=overrides is not None,
            legacy=True,
            store="fp32" if exact_memory else "bf16",
        )
