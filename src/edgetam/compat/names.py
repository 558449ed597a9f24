"""What SAM 2 users call a model: configuration files and repositories, as our variants."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from edgetam.config import VARIANTS
from edgetam.errors import ConfigError

__all__ = ["variant_of_config", "variant_of_repository"]

SIZES = {"tiny": "t", "small": "s", "base-plus": "b+", "large": "l"}
"""How repositories spell sizes."""


def variant_of_config(config_file: str) -> str:
    """``configs/sam2.1/sam2.1_hiera_b+.yaml``, ``sam2_hiera_l``, ``edgetam.yaml`` or a variant's own name.

    Raises:
        ConfigError: none of them.
    """
    name = PurePosixPath(str(config_file).replace("\\", "/")).name
    name = re.sub(r"\.ya?ml$", "", name)
    found = re.sub(r"^(sam2(?:\.1)?)_hiera_", r"\1-", name)
    if found not in VARIANTS:
        raise ConfigError(
            f"config_file is {config_file!r}; expected a published configuration like configs/edgetam.yaml "
            f"or sam2.1_hiera_t, or one of {', '.join(VARIANTS)}."
        )
    return found


def variant_of_repository(model_id: str) -> str:
    """``facebook/sam2.1-hiera-base-plus`` or ``facebook/EdgeTAM``, in anybody's account.

    Raises:
        ConfigError: the name does not say which model it is.
    """
    name = str(model_id).rsplit("/", 1)[-1].lower().replace("_", "-")
    if "edgetam" in name:
        return "edgetam"
    found = re.search(rf"(sam2(?:\.1)?)-(?:hiera-)?({'|'.join(SIZES)})", name)
    if found is None:
        raise ConfigError(
            f"model_id is {model_id!r}; expected a repository of SAM 2 or EdgeTAM, such as facebook/EdgeTAM "
            "or facebook/sam2.1-hiera-tiny (for others, pass config_file and ckpt_path to build_sam2)."
        )
    return f"{found[1]}-{SIZES[found[2]]}"
