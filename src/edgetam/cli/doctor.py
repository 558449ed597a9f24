"""``edgetam doctor``: what this machine can run, and what is missing."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

import typer

from edgetam.errors import EdgeTAMError, EngineError

__all__ = ["Finding", "examine", "is_healthy", "show"]

Status = Literal["ok", "missing", "broken"]
_OPTIONAL = {
    "openvino": "the fastest engine on a CPU; pip install 'edgetam[openvino]'",
    "onnx": "ONNX Runtime; pip install 'edgetam[onnx]'",
}
_FOR_TORCH = "to convert weights, export and train; bundles run without it"
_CPU_FLAGS = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "AVX-512 VNNI": {"avx512_vnni", "avx512vnni"},
    "AVX-512 BF16": {"avx512_bf16"},
    "AMX BF16": {"amx_bf16"},
    "NEON": {"asimd", "neon"},
    "BF16": {"bf16"},
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    ``missing`` is optional and says how to get it; ``broken`` stops the program from working.
    """

    topic: str
    name: str
    status: Status
    detail: str
    hint: str = ""


def examine() -> list[Finding]:
    """Look at everything; a part that fails is a finding, never an error."""
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("versions", _versions),
        ("machine", _machine),
        ("torch", _torch),
        ("engines", _engines),
        ("export", _exports),
        ("video", _video),
        ("weights", _weights),
    )
    found: list[Finding] = []
    for topic, check in checks:
        try:
            found.extend(check())
        except Exception as error:
            found.append(
                Finding(topic, topic, "broken", f"{type(error).__name__}: {error}", "reinstall edgetam")
            )
    return found


def is_healthy(findings: list[Finding]) -> bool:
    """Whether nothing essential is broken."""
    return all(finding.status != "broken" for finding in findings)


def show(findings: list[Finding], *, as_json: bool) -> None:
    """Print the findings, for people or for programs."""
    if as_json:
        report = {"healthy": is_healthy(findings), "findings": [asdict(finding) for finding in findings]}
        typer.echo(json.dumps(report, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "missing": "yellow", "broken": "red"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    topic = ""
    for finding in findings:
        state = Text(finding.status, colours[finding.status])
        text = finding.detail + (f" ({finding.hint})" if finding.hint else "")
        table.add_row(
            Text(finding.topic if finding.topic != topic else "", "bold"), finding.name, state, Text(text)
        )
        topic = finding.topic
    console = Console()
    console.print(table)
    missing = dict.fromkeys(finding.name for finding in findings if finding.status == "missing")
    end = (
        "Everything needed is here." if is_healthy(findings) else "Something essential is broken; see above."
    )
    console.print(Text(end + (f" Not here, and optional: {', '.join(missing)}." if missing else "")))


def _versions() -> Iterator[Finding]:
    from edgetam import __version__

    yield Finding("versions", "edgetam", "ok", __version__)
    yield Finding("versions", "python", "ok", f"{platform.python_version()} ({sys.executable})")
    for name in ("numpy", "av", "opencv-python-headless", "pillow", "safetensors"):
        try:
            yield Finding("versions", name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding("versions", name, "ok", "version unknown")


def _machine() -> Iterator[Finding]:
    yield Finding(
        "machine", "system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}"
    )
    yield Finding("machine", "processor", "ok", _processor())
    flags = _flags()
    known = [name for name, wanted in _CPU_FLAGS.items() if wanted & flags]
    yield Finding("machine", "features", "ok", ", ".join(known) or "unknown on this system")
    yield Finding("machine", "processors", "ok", f"{_usable_processors()} of {os.cpu_count()} usable")
    total, free = _memory()
    if total:
        detail = f"{total / 2**30:.1f} GB, {free / 2**30:.1f} GB free"
        yield Finding("machine", "memory", "ok", detail)


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.is_file() else ""


def _processor() -> str:
    for line in _cpuinfo().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _flags() -> set[str]:
    for line in _cpuinfo().splitlines():
        if line.lower().startswith(("flags", "features")):
            return set(line.partition(":")[2].lower().split())
    return set()


def _usable_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> tuple[int, int]:
    """Total and free bytes; zeros where the system does not say."""
    path = Path("/proc/meminfo")
    if path.is_file():
        values = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        total, free = (int(values[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
        return total, free
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return total, total
    return 0, 0


def _torch() -> Iterator[Finding]:
    from edgetam.engine.requirements import missing

    if missing(["torch"]):
        yield Finding("torch", "torch", "missing", "not installed", f"{_FOR_TORCH}; pip install torch")
        return
    try:
        import torch
    except ImportError as error:
        yield Finding("torch", "torch", "broken", str(error), "pip install --force-reinstall torch")
        return
    yield Finding("torch", "torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            detail = f"{facts.name}, {facts.total_memory / 2**30:.0f} GB"
            yield Finding("torch", f"cuda:{index}", "ok", detail)
    else:
        yield Finding(
            "torch", "cuda", "missing", "no CUDA device", "needs an NVIDIA GPU and a CUDA build of torch"
        )
    if sys.platform == "darwin":
        good = torch.backends.mps.is_available()
        yield Finding("torch", "mps", "ok" if good else "missing", "Apple GPU" if good else "no Apple GPU")


def _engines() -> Iterator[Finding]:
    from edgetam.engine.bundle import RUNTIMES
    from edgetam.engine.requirements import missing, missing_compiler
    from edgetam.engine.select import choose_engine

    if missing(["torch"]):
        yield Finding("engines", "torch", "missing", "not installed", _FOR_TORCH)
    else:
        yield Finding("engines", "torch", "ok", "the reference")
        absent = missing_compiler("cuda" if choose_engine("torch").device.startswith("cuda") else "cpu")
        if absent:
            yield Finding("engines", "compiled", "missing", f"needs {absent}")
        else:
            yield Finding("engines", "compiled", "ok", "torch, compiled when first run")
    for name, hint in _OPTIONAL.items():
        if missing([RUNTIMES[name]]):
            yield Finding("engines", name, "missing", "not installed", hint)
        else:
            yield _runtime(name)
    yield _native()
    try:
        choice = choose_engine()
    except EngineError as error:
        yield Finding("engines", "auto", "missing", "none for checkpoints, only for bundles", str(error))
        return
    picked = f"{choice.engine} on {choice.device} in {choice.precision} ({choice.reason})"
    yield Finding("engines", "auto", "ok", picked)


def _native() -> Finding:
    from edgetam.engine.native.library import MATRIX_UNIT, compiler, cpu_flags, why_not

    reason = why_not()
    if reason:
        return Finding("engines", "native", "missing", reason)
    products = "AMX" if MATRIX_UNIT in cpu_flags() else "AVX-512"
    by = " ".join(compiler() or ["compiled already"])
    return Finding("engines", "native", "ok", f"tracked frames in bf16 and fp32 on {products} ({by})")


def _runtime(name: str) -> Finding:
    """An engine that is installed; it may still not start."""
    from edgetam.engine.bundle import RUNTIMES

    try:
        module = import_module(f"edgetam.engine.{name}")
    except ImportError as error:
        reinstall = f"pip install --force-reinstall {RUNTIMES[name]}"
        return Finding("engines", name, "broken", f"cannot be imported: {error}", reinstall)
    detail = _version(RUNTIMES[name])
    if name == "openvino":
        computes = [
            each for each in ("fp32", "bf16", "fp16", "int8") if each.upper() in module.capabilities()
        ]
        if "int8" in computes and module.int8_overflows():
            computes.remove("int8")
        detail += f"; computes in {', '.join(computes)} here"
    return Finding("engines", name, "ok", detail)


def _exports() -> Iterator[Finding]:
    from edgetam.engine.requirements import missing

    if missing(["torch"]):
        yield Finding("export", "targets", "missing", "needs torch", "pip install torch")
        return
    from edgetam.export import TARGETS

    for target in TARGETS.values():
        absent = missing(target.needs)
        if absent:
            hint = f"pip install 'edgetam[{target.name}]'"
            yield Finding("export", target.name, "missing", f"needs {', '.join(absent)}", hint)
            continue
        found = ", ".join(f"{name} {_version(name)}" for name in target.needs)
        elsewhere = "" if target.runs_here else "; runs on Apple's devices only"
        yield Finding("export", target.name, "ok", f"{', '.join(target.precisions)} ({found}{elsewhere})")


def _version(module: str) -> str:
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        return "installed"


def _video() -> Iterator[Finding]:
    import av

    yield Finding(
        "video", "ffmpeg", "ok", ".".join(map(str, av.library_versions["libavcodec"])) + " (libavcodec)"
    )
    for name, mode, word in (("h264", "r", "decoder"), ("libx264", "w", "encoder")):
        found = name in av.codecs_available
        status: Status = "ok" if found else "missing"
        hint = "" if found else "install PyAV from PyPI: pip install --force-reinstall av"
        yield Finding("video", f"H.264 {word}", status, name if found else f"no {name} for '{mode}'", hint)


def _weights() -> Iterator[Finding]:
    from edgetam.weights.bundled import BUNDLED_LICENCE, bundled_path
    from edgetam.weights.cache import cache_dir
    from edgetam.weights.registry import REGISTRY, cached_path

    try:
        path = bundled_path()
        yield Finding(
            "weights",
            "bundled",
            "ok",
            f"{path.stat().st_size / 1e6:.0f} MB, a stand-in trained on a small budget, {BUNDLED_LICENCE}",
        )
    except EdgeTAMError as error:
        yield Finding("weights", "bundled", "missing", str(error))
    yield _cache(cache_dir())
    for name in REGISTRY:
        here = cached_path(name)
        if here is not None:
            yield Finding("weights", name, "ok", str(here))
        elif name == "edgetam":
            yield Finding("weights", name, "missing", "not downloaded", "edgetam weights download edgetam")


def _cache(folder: Path) -> Finding:
    """The cache, or the nearest folder above it that is there, with something written to it."""
    there = next(each for each in (folder, *folder.parents) if os.access(each, os.F_OK))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        hint = "models are converted at every start; set EDGETAM_CACHE to a folder that can be written"
        return Finding("weights", "cache", "missing", f"{folder} ({error.strerror or error})", hint)
    return Finding("weights", "cache", "ok", str(folder))
