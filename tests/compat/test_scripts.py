"""Scripts written for SAM 2 run after their imports are changed, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.compat.conftest import FRAMES, HEIGHT, SMALL, WIDTH

SCRIPTS = Path(__file__).parent / "scripts"


def run(name: str, **inputs: Any) -> dict[str, Any]:
    """Run a script with ``from sam2... import`` turned into our import."""
    text = (SCRIPTS / name).read_text(encoding="utf-8")
    changed, count = re.subn(r"(?m)^from sam2\.\w+ import", "from edgetam.compat.sam2 import", text)
    assert count
    variables: dict[str, Any] = {"EXTRA": {"hydra_overrides_extra": [SMALL]}, **inputs}
    exec(compile(changed, name, "exec"), variables)
    return dict(variables["RESULT"])


def test_a_video_script(checkpoint: Path, video: NDArray[np.uint8], tmp_path: Path) -> None:
    for t, image in enumerate(video):
        Image.fromarray(image).save(tmp_path / f"{t}.jpg")
    inputs = {"MODEL_CFG": "configs/edgetam.yaml", "CHECKPOINT": str(checkpoint), "VIDEO_DIR": str(tmp_path)}
    result = run("video_script.py", **inputs)
    assert list(result["segments"]) == list(range(FRAMES))
    for masks in result["segments"].values():
        assert {i: m.shape for i, m in masks.items()} == {1: (1, HEIGHT, WIDTH), 2: (1, HEIGHT, WIDTH)}
    assert np.array_equal(result["segments"][0][1], result["first_mask"])
    assert result["corrected"].shape == (2, 1, HEIGHT, WIDTH)
    assert result["remaining"] == [1]


def test_an_image_script(checkpoint: Path, video: NDArray[np.uint8], tmp_path: Path) -> None:
    picture = tmp_path / "image.png"
    Image.fromarray(video[0]).save(picture)
    result = run("image_script.py", MODEL_CFG="edgetam.yaml", CHECKPOINT=checkpoint, IMAGE=picture)
    assert result["masks"].shape == (3, HEIGHT, WIDTH)
    assert list(result["scores"]) == sorted(result["scores"], reverse=True)
    assert result["refined"].shape == (1, HEIGHT, WIDTH)
    assert result["boxes"].shape == (2, 1, HEIGHT, WIDTH)
    assert result["painted"].shape == (HEIGHT, WIDTH, 4)
