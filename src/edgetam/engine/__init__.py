"""The four verbs on a runtime."""

from edgetam.engine.base import Engine
from edgetam.engine.bundle import load_bundle
from edgetam.engine.select import load_model

__all__ = ["Engine", "load_bundle", "load_model"]
