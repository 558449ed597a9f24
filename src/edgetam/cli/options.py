"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import typer
from typer.core import TyperCommand

from edgetam.cli.prompts import Placed, merged, ordered_options, read_options, read_prompt_file
from edgetam.config import VARIANTS
from edgetam.engine.manifest import MANIFEST
from edgetam.errors import ConfigError, EngineError
from edgetam.hashing import sha256_of
from edgetam.tracking.options import MemorySelection
from edgetam.weights import bundled_path
from edgetam.weights.registry import on_this_machine, weights_path

if TYPE_CHECKING:
    from edgetam.engine import Engine

__all__ = [
    "ModelChoice",
    "PromptedCommand",
    "check_memory",
    "given_prompts",
    "in_order",
    "parse_kinds",
]

_ORDERED = "edgetam.ordered"
_PROMPTS, _MODEL, _OUTPUT = "Prompts (in order)", "Model", "Results"

Point = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X,Y", help="A point on the object, in pixels; repeatable.", rich_help_panel=_PROMPTS
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        metavar="1|0", help="Of the point before it: 1 on the object, 0 not.", rich_help_panel=_PROMPTS
    ),
]
Box = Annotated[
    list[str] | None,
    typer.Option(metavar="X0,Y0,X1,Y1", help="A box around the object.", rich_help_panel=_PROMPTS),
]
Mask = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PNG",
        help="A mask; a palette PNG gives one object per index.",
        rich_help_panel=_PROMPTS,
    ),
]
Object = Annotated[
    list[str] | None,
    typer.Option(
        "--object", metavar="ID", help="Whom the prompts after it are for (1).", rich_help_panel=_PROMPTS
    ),
]
Frame = Annotated[
    list[str] | None,
    typer.Option(metavar="N", help="Frame of the prompts after it (the first).", rich_help_panel=_PROMPTS),
]
PromptFile = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="JSON", help="Prompts from a file.", rich_help_panel=_PROMPTS),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=f"One of {', '.join(VARIANTS)}.", rich_help_panel=_MODEL),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAME",
        help="A checkpoint, an exported bundle, or a name from 'edgetam weights list'.",
        rich_help_panel=_MODEL,
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE|NAME",
        help="A checkpoint, or a name from 'edgetam weights list'.",
        rich_help_panel=_MODEL,
    ),
]
EngineName = Annotated[
    str,
    typer.Option("--engine", help="auto, openvino, native, onnx, torch or compiled.", rich_help_panel=_MODEL),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_MODEL)]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or int8.", rich_help_panel=_MODEL)]
ImageSize = Annotated[
    int | None,
    typer.Option("--imgsz", metavar="N", help="Input size, a multiple of 256.", rich_help_panel=_MODEL),
]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="CPU threads to use.", rich_help_panel=_MODEL)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="Where results go (out/NAME).", rich_help_panel=_OUTPUT
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace results of another run.", rich_help_panel=_OUTPUT)
]


Memory = Annotated[
    str,
    typer.Option(
        metavar="auto|recent|confident",
        help="Which frames to remember: the last, or the last that can be trusted.",
    ),
]


def check_memory(memory: str) -> MemorySelection:
    """Which frames to remember, as `TrackerOptions` calls it.

    Raises:
        ConfigError: no such choice.
    """
    if memory not in get_args(MemorySelection):
        raise ConfigError(f"--memory is '{memory}'; expected auto, recent or confident.")
    return cast(MemorySelection, memory)


class PromptedCommand(TyperCommand):
    """A command that remembers the order of its prompt options, which parsing loses."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note the order, then parse as usual."""
        takes_value = {
            name: not getattr(param, "is_flag", False)
            for param in self.params
            for name in (*param.opts, *param.secondary_opts)
            if name.startswith("-")
        }
        ctx.meta[_ORDERED] = ordered_options(args, {**takes_value, "--help": False})
        return super().parse_args(ctx, args)


def in_order(ctx: typer.Context) -> list[tuple[str, str]]:
    """The prompt options of a `PromptedCommand` and their values, as they were typed."""
    found: list[tuple[str, str]] = ctx.meta.get(_ORDERED, [])
    return found


def given_prompts(ctx: typer.Context, file: Path | None, *, frame: int = 0) -> list[Placed]:
    """Everything that was prompted: first the file, then the options."""
    items = [] if file is None else read_prompt_file(file)
    return merged([*items, *read_options(in_order(ctx), frame=frame)])


def parse_kinds(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Read a list such as ``png,overlay``.

    Raises:
        ConfigError: an unknown kind, or none.
    """
    kinds = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [kind for kind in kinds if kind not in known]
    if unknown or not kinds:
        raise ConfigError(
            f"--save is '{text}' with unknown {', '.join(unknown) or 'nothing'}; "
            f"expected some of {','.join(known)}."
        )
    return kinds


def bundle_folder(weights: str | None) -> Path | None:
    """The folder that ``edgetam export`` wrote, if this is one."""
    path = None if weights is None else on_this_machine(weights)
    return path if path is not None and (path / MANIFEST).is_file() else None


@dataclass(frozen=True)
class ModelChoice:
    """Which model to run and how."""

    model: str | None = None
    weights: str | None = None
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    image_size: int | None = None
    threads: int | None = None

    @property
    def name(self) -> str:
        """The variant: the one chosen, or that of published weights."""
        return self.model or (self.weights if self.weights in VARIANTS else None) or "edgetam"

    @property
    def stand_in(self) -> bool:
        """Whether these are the weights that come with the package."""
        return self.weights in (None, "default", "bundled") and self.name == "edgetam"

    @property
    def weights_identity(self) -> list[Any]:
        """What tells these weights from others: a file's size and time of change, a name, or a hash.

        The bundled ones are told by what is in them: another version of the package brings others.
        """
        path = None if self.weights is None else on_this_machine(self.weights)
        if path is not None and path.is_dir():
            path = path / MANIFEST
        if path is None or not path.is_file():
            return ["bundled", sha256_of(bundled_path())] if self.stand_in else [self.weights]
        details = path.stat()
        return [str(path.absolute()), details.st_size, details.st_mtime_ns]

    @property
    def identity(self) -> list[Any]:
        """What results depend on; engines of one precision give the same but for rounding.

        Raises:
            WeightsError: the weights cannot be looked up.
            EngineError: engine, device or precision are not available here, or int8 is not calibrated.
        """
        return [self.name, self.weights_identity, self._settled_precision(), self.image_size]

    def _settled_precision(self) -> list[Any]:
        """What is computed in; for int8 also what it was calibrated with."""
        if bundle_folder(self.weights) is not None:
            return ["of the bundle"]
        from edgetam.engine.select import choose_engine

        choice = choose_engine(self.engine, self.device, self.precision)
        if choice.precision != "int8":
            return [choice.precision]
        from edgetam.engine.int8 import calibration_in_use
        from edgetam.engine.openvino import graph_store
        from edgetam.engine.source import Source

        path = weights_path(self.name, self.weights)
        source = Source.of_weights(path, self.name, self.image_size, partial="image")
        return ["int8", *calibration_in_use(graph_store(source))]

    def check(self) -> None:
        """Find out what can be known without loading anything.

        Raises:
            ConfigError: an unknown model or a size that does not work.
            EngineError: an unknown engine or precision.
        """
        from edgetam.config import get_config
        from edgetam.engine.select import ENGINES, PRECISIONS

        get_config(self.name, self.image_size)
        for what, value, known in (
            ("--engine", self.engine, ENGINES),
            ("--precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise EngineError(f"{what} is '{value}'; expected one of {', '.join(known)}.")

    def _load_bundle(self, folder: Path) -> Engine:
        """A bundle has settled what other options leave open."""
        import edgetam

        settled = {
            "--engine": self.engine != "auto",
            "--device": self.device not in ("auto", "cpu"),
            "--precision": self.precision != "auto",
            "--imgsz": self.image_size is not None,
            "--model": self.model is not None,
        }
        given = [name for name, is_given in settled.items() if is_given]
        if given:
            raise ConfigError(f"'{folder}' is an exported bundle, which settles {given[0]}; leave it out.")
        return edgetam.load_bundle(folder, threads=self.threads)

    def load(self, *, partial: Literal["image"] | None = None) -> Engine:
        """Load it; with ``partial="image"`` weights without memory will do."""
        import edgetam

        folder = bundle_folder(self.weights)
        if folder is not None:
            return self._load_bundle(folder)
        return edgetam.load_model(
            self.name,
            self.weights,
            engine=self.engine,
            device=self.device,
            precision=self.precision,
            image_size=self.image_size,
            threads=self.threads,
            partial=partial,
        )
