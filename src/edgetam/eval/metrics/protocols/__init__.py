"""The conventions of each benchmark, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgetam.errors import ConfigError
from edgetam.eval.metrics.protocols.as_seen import SaV, VosBenchmark
from edgetam.eval.metrics.protocols.base import GroundTruth, Plan, Protocol
from edgetam.eval.metrics.protocols.davis import Davis2016, Davis2017
from edgetam.eval.metrics.protocols.davis_unsupervised import Davis2017Unsupervised
from edgetam.eval.metrics.protocols.lvos import Lvos
from edgetam.eval.metrics.protocols.mosev2 import MoseV2
from edgetam.eval.metrics.protocols.ytvos import YouTubeVos
from edgetam.hints import did_you_mean

__all__ = ["PROTOCOLS", "GroundTruth", "Plan", "Protocol", "find_protocol"]

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "davis2016": Davis2016(),
        "davis2017": Davis2017(),
        "davis2017-unsupervised": Davis2017Unsupervised(),
        "sav": SaV(),
        "sav-all-frames": SaV(ends=True),
        "vos-benchmark": VosBenchmark(),
        "vos-benchmark-void": VosBenchmark(void=255),
        "vos-benchmark-all-frames": VosBenchmark(ends=True),
        "mosev2": MoseV2(),
        "lvos": Lvos(),
        "lvos-compiled": Lvos(compiled=True),
        "youtube-vos": YouTubeVos(),
        "youtube-vos-native": YouTubeVos(native=True),
    }
)
"""Name to protocol."""


def find_protocol(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return PROTOCOLS[name]
    except KeyError:
        hint = did_you_mean(name, PROTOCOLS)
        raise ConfigError(
            f"There is no protocol '{name}'{hint}; the protocols are {', '.join(PROTOCOLS)}."
        ) from None
