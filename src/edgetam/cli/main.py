"""The ``edgetam`` command.

Exit codes: 0 done, 1 unexpected, 2 bad input, 3 weights or engine, 4 output, 130 stopped
by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import logging
import signal
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgetam.cli import options
from edgetam.cli.errors import EXIT_INTERRUPTED, StderrHandler, exit_code, fail, show_traceback
from edgetam.cli.options import ModelChoice, PromptedCommand, given_prompts
from edgetam.cli.screen import open_screen, set_log_levels

__all__ = ["app", "main"]

HELP = ("-h", "--help")
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""Settings of commands that hand their arguments to an app of their own, loaded only then."""


class _Commands(TyperGroup):
    """Commands whose failures end in one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (typer.Abort, KeyboardInterrupt) as error:
            fail(error)
        except Exception as error:
            if _is_usage(error):
                raise
            fail(error)


def _is_usage(error: Exception) -> bool:
    """Whether the parser speaks (wrong options, ``--help``, a closed pipe), in its own words and codes."""
    return isinstance(error, (typer.Exit, BrokenPipeError)) or hasattr(error, "exit_code")


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP},
    help="Segment and track anything in images and videos, from clicks, boxes or masks.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from edgetam import __version__

        typer.echo(f"edgetam {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error came from (or EDGETAM_DEBUG=1).")
    ] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    show_traceback(traceback)
    log = logging.getLogger("edgetam")
    if not any(isinstance(handler, StderrHandler) for handler in log.handlers):
        log.addHandler(StderrHandler())
    set_log_levels(quiet=False)


@app.command(cls=PromptedCommand)
def track(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(help="A video, folder, 'pattern*.png', camera number or rtsp:// address.")
    ],
    point: options.Point = None,
    label: options.Label = None,
    box: options.Box = None,
    mask: options.Mask = None,
    object_: options.Object = None,
    frame: options.Frame = None,
    prompts: options.PromptFile = None,
    output: options.Output = None,
    save: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Of png,objects,coco,npz,overlay,cutout.", rich_help_panel="Results"
        ),
    ] = "png,overlay",
    overwrite: options.Overwrite = False,
    start: Annotated[int | None, typer.Option(min=0, metavar="N", help="First frame to track.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Track this many.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Go back in time.")] = False,
    both: Annotated[bool, typer.Option("--both", help="Forward, then back from the prompts.")] = False,
    on_bad_frame: Annotated[
        str, typer.Option(metavar="stop|skip", help="What to do at a frame that cannot be read.")
    ] = "stop",
    exclusive: Annotated[bool, typer.Option("--exclusive", help="Objects may not overlap.")] = False,
    memory: options.Memory = "auto",
    model: options.Model = None,
    weights: options.Weights = None,
    engine: options.EngineName = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    imgsz: options.ImageSize = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
) -> None:
    """Track objects through a video.

    Prompts are read in order: --object and --frame apply to the prompts after them, --label to the point
    before it. The same command again completes an interrupted run.
    """
    from edgetam.cli.live import is_live, track_live
    from edgetam.cli.track import TrackJob, direction, track_video

    choice = ModelChoice(model, weights, engine, device, precision, imgsz, threads)
    job = TrackJob(
        source,
        given_prompts(ctx, prompts, frame=start or 0),
        choice,
        output,
        save,
        start,
        frames,
        direction(reverse=reverse, both=both),
        on_bad_frame,
        exclusive,
        overwrite,
        memory=memory,
    )
    (track_live if is_live(source) else track_video)(job, open_screen(quiet=quiet))


@app.command(cls=PromptedCommand)
def segment(
    ctx: typer.Context,
    image: Annotated[Path, typer.Argument(help="A picture.")],
    point: options.Point = None,
    label: options.Label = None,
    box: options.Box = None,
    mask: options.Mask = None,
    object_: options.Object = None,
    prompts: options.PromptFile = None,
    output: options.Output = None,
    save: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Of png,objects,coco,npz,overlay,cutout.", rich_help_panel="Results"
        ),
    ] = "png,overlay,cutout,coco",
    overwrite: options.Overwrite = False,
    model: options.Model = None,
    weights: options.Weights = None,
    engine: options.EngineName = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    imgsz: options.ImageSize = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
) -> None:
    """Segment objects in a picture; prompts work as in 'edgetam track'."""
    from edgetam.cli.segment import SegmentJob, segment_image

    choice = ModelChoice(model, weights, engine, device, precision, imgsz, threads)
    job = SegmentJob(image, given_prompts(ctx, prompts), choice, output, save, overwrite)
    segment_image(job, open_screen(quiet=quiet))


@app.command(cls=PromptedCommand)
def look(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="A video, folder, 'pattern*.png' or picture.")],
    point: options.Point = None,
    label: options.Label = None,
    box: options.Box = None,
    mask: options.Mask = None,
    object_: options.Object = None,
    frame: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="The frame to show, and that of the prompts after it.",
            rich_help_panel="Prompts (in order)",
        ),
    ] = None,
    prompts: options.PromptFile = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PNG", help="The picture.", rich_help_panel="Results"),
    ] = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Show a frame between rulers, to find coordinates, and where prompts fall on it."""
    from edgetam.cli.look import LookJob, look_at_frame, read_look

    given, number = read_look(options.in_order(ctx), prompts)
    look_at_frame(LookJob(source, given, number, output, overwrite), open_screen(quiet=quiet))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say what this machine can run, and what is missing."""
    from edgetam.cli.doctor import examine, is_healthy, show

    findings = examine()
    show(findings, as_json=as_json)
    if not is_healthy(findings):
        raise typer.Exit(1)


@app.command()
def demo(
    video: Annotated[str | None, typer.Option(help="A video of yours.")] = None,
    point: Annotated[
        str | None, typer.Option(metavar="X,Y", help="A point on the object on frame 0.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where results go (out/demo, where an earlier demo is replaced).",
            rich_help_panel="Results",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    weights: options.Weights = None,
    imgsz: options.ImageSize = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
) -> None:
    """Track an object through the clip that comes with the package, or through yours."""
    from edgetam.cli.demo import run_demo

    choice = ModelChoice(weights=weights, image_size=imgsz, threads=threads)
    run_demo(video, point, output, choice, open_screen(quiet=quiet), overwrite=overwrite)


@app.command()
def synth(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MP4", help="The video to write.")],
    kind: Annotated[
        str, typer.Option(help="synthetic, pseudo, davis or any other kind of training data.")
    ] = "synthetic",
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A folder or tar file that the kind needs; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another clip.")] = 0,
    size: Annotated[int, typer.Option(min=32, metavar="N", help="Side in pixels.")] = 256,
    frames: Annotated[int, typer.Option(min=1, metavar="N", help="How many.")] = 24,
    objects: Annotated[int, typer.Option(min=1, metavar="N", help="At most.")] = 3,
    fps: Annotated[float, typer.Option(min=1, max=1000, help="Frames per second.")] = 12.0,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw one training clip, beside it the same with its masks, to see what models learn from."""
    from edgetam.cli.synth import SynthJob, render_clip
    from edgetam.train.data import Ask

    ask = Ask(frames, objects, size)
    render_clip(SynthJob(output, kind, data or [], seed, ask, fps, overwrite), open_screen(quiet=quiet))


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The bundle to write.")],
    target: Annotated[str, typer.Option(help="onnx, openvino, coreml or executorch.")] = "onnx",
    objects: Annotated[int, typer.Option(min=1, metavar="N", help="At most this many at once.")] = 4,
    prompted: Annotated[int, typer.Option(min=1, metavar="N", help="Prompted frames per object.")] = 6,
    points: Annotated[int, typer.Option(min=1, metavar="N", help="Points per prompt.")] = 32,
    model: options.Model = None,
    weights: options.Checkpoint = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16 or bf16.")] = "auto",
    imgsz: options.ImageSize = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Export the whole tracker to a folder that runs without PyTorch."""
    from edgetam.cli.export import ExportJob, export_weights

    choice = ModelChoice(model, weights, precision=precision, image_size=imgsz)
    job = ExportJob(target, choice, output, objects, prompted, points, overwrite)
    export_weights(job, open_screen(quiet=quiet))


@app.command("automask", context_settings=PASS_ON)
def automask_(ctx: typer.Context) -> None:
    """Mask everything in a picture, or in each picture of a folder."""
    _pass_on(ctx, "edgetam.cli.automask")


@app.command("quantize", context_settings=PASS_ON)
def quantize_(ctx: typer.Context) -> None:
    """Calibrate int8 for OpenVINO (--precision int8), and compare it with fp32 and bf16."""
    _pass_on(ctx, "edgetam.cli.quantize")


@app.command("train", context_settings=PASS_ON)
def train(ctx: typer.Context) -> None:
    """Train a network from a recipe."""
    _pass_on(ctx, "edgetam.cli.train")


@app.command("distill", context_settings=PASS_ON)
def distill(ctx: typer.Context) -> None:
    """Train a network that follows a teacher."""
    _pass_on(ctx, "edgetam.cli.distill")


@app.command("weights", context_settings=PASS_ON)
def weights_(ctx: typer.Context) -> None:
    """List, inspect, download and convert checkpoints."""
    _pass_on(ctx, "edgetam.cli.weights")


@app.command("eval", context_settings=PASS_ON)
def eval_(ctx: typer.Context) -> None:
    """Run a tracker over a benchmark and score it."""
    _pass_on(ctx, "edgetam.cli.eval")


@app.command("score", context_settings=PASS_ON)
def score_(ctx: typer.Context) -> None:
    """Score predicted masks by the rules of a benchmark."""
    _pass_on(ctx, "edgetam.cli.score")


def _pass_on(ctx: typer.Context, module: str) -> None:
    """Hand the arguments to the ``app`` of a module that is too heavy to import for ``--help``."""
    app = import_module(module).app
    code = app(ctx.args, prog_name=ctx.command_path, standalone_mode=False, help_option_names=HELP)
    if code == EXIT_INTERRUPTED:  # Typer's own answer to Ctrl-C; ours is that of all commands
        raise KeyboardInterrupt
    if isinstance(code, int) and code:
        raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    # Schedulers and containers end a run with this signal; files are completed as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(prog_name="edgetam")
    except KeyboardInterrupt as error:
        raise SystemExit(exit_code(error)) from None
