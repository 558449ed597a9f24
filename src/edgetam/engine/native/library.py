"""The kernels as a library: compiled for this CPU when first needed, and kept in the cache.

A compiler is needed once, and only then. Kernels call nothing but the C library and its threads.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from ctypes import CDLL, c_char_p
from functools import cache
from pathlib import Path
from platform import machine

from edgetam.engine.requirements import missing
from edgetam.engine.store import Store
from edgetam.errors import EngineError

__all__ = [
    "FLAGS",
    "compile_kernels",
    "cpu_flags",
    "default_threads",
    "library",
    "load_kernels",
    "pays",
    "why_not",
]

SOURCES = Path(__file__).parent
FLAGS = ("-march=native",)
"""For the CPU at hand."""
_ALWAYS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC", "-Wno-psabi")
EXACT = {"bf16": (), "fp32": ("-DEXACT",)}
"""What makes entries of matrices bfloat16, or floats that are multiplied as two of these each."""
COMPILERS = ("cc", "gcc", "clang")
NEEDED = "avx512_bf16"
MATRIX_UNIT = "amx_bf16"
INTERFACE = 2
TIMEOUT_S = 300
NAME = "kernels.so"


def why_not(precision: str = "bf16") -> str | None:
    """Why kernels cannot be used here, as the end of a sentence; None where they can."""
    if sys.platform != "linux" or machine() not in ("x86_64", "AMD64"):
        return "they are for Linux on x86-64"
    if NEEDED not in cpu_flags():
        return "this CPU does not compute in bfloat16"
    if compiler() is None and not (_store().folder / _kept_as(precision)).is_dir():
        return "there is no C compiler: install gcc, or run pip install 'edgetam[native]'"
    return None


def pays(precision: str = "bf16") -> bool:
    """Whether kernels can be used here, and are faster than OpenVINO: where there is a matrix unit."""
    return MATRIX_UNIT in cpu_flags() and why_not(precision) is None


def compiler() -> list[str] | None:
    """The command of a C compiler: ``$CC``, the system's, or the one of the package ``ziglang``."""
    chosen = shlex.split(os.environ.get("CC", ""))
    if chosen and shutil.which(chosen[0]):
        return chosen
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    return None if missing(["ziglang"]) else [sys.executable, "-m", "ziglang", "cc"]


@cache
def library(precision: str = "bf16") -> CDLL:
    """The kernels for this CPU.

    Args:
        precision: ``bf16``, or ``fp32``: each float is multiplied as the sum of two in bfloat16.

    Raises:
        EngineError: they cannot be used here, or not compiled.
        OutputError: they can be kept nowhere.
    """
    reason = why_not(precision)
    if reason:
        raise EngineError(f"Native kernels cannot be used: {reason}; use engine='openvino'.")
    store = _store()

    def make(folder: Path) -> None:
        store.say_converting("kernels", "this CPU")
        compile_kernels(folder / NAME, (*FLAGS, *EXACT[precision]))

    return load_kernels(store.get(_kept_as(precision), make) / NAME)


def _kept_as(precision: str) -> str:
    return f"kernels-{precision}"


def compile_kernels(to: Path, flags: tuple[str, ...] = FLAGS) -> None:
    """Compile the kernels.

    Args:
        to: the library that is written.
        flags: that say which instructions may be used.

    Raises:
        EngineError: there is no compiler, or it failed.
    """
    command = compiler()
    if command is None:
        raise EngineError("There is no C compiler; install gcc, or run pip install 'edgetam[native]'.")
    sources = map(str, sorted(SOURCES.glob("*.c")))
    whole = [*command, *_ALWAYS, *flags, *sources, "-o", str(to), "-lpthread", "-lm"]
    try:
        done = subprocess.run(whole, capture_output=True, text=True, timeout=TIMEOUT_S, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"The C compiler cannot be run ({error}); use engine='openvino'.") from error
    if done.returncode or not to.is_file():
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise EngineError(
            f"{' '.join(command)} cannot compile the native kernels ({said[0].strip()}); use "
            "engine='openvino', or another compiler in the environment variable CC."
        )


def load_kernels(path: Path) -> CDLL:
    """Load compiled kernels, and ask the system for what they need.

    Raises:
        EngineError: they cannot be loaded, or the system refuses.
    """
    try:
        kernels = ctypes.CDLL(str(path))
    except OSError as error:
        raise EngineError(f"Native kernels cannot be loaded ({error}); use engine='openvino'.") from error
    kernels.kernels_products.restype = c_char_p
    assert kernels.kernels_interface() == INTERFACE, "the cache's key names the sources"
    if kernels.kernels_prepare():
        raise EngineError(
            "The system does not let programs use this CPU's matrix unit (AMX), as some virtual machines do; "
            "use engine='openvino'."
        )
    return kernels


def default_threads() -> int:
    """One for each core this process may use."""
    usable = os.sched_getaffinity(0)
    cores = {_core_of(cpu) for cpu in usable}
    return max(len(cores), 1)


def _core_of(cpu: int) -> tuple[str, ...]:
    """Which core a processor is part of; itself where the system does not say."""
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
    try:
        return tuple((topology / name).read_text().strip() for name in ("physical_package_id", "core_id"))
    except OSError:
        return (str(cpu),)


@cache
def cpu_flags() -> frozenset[str]:
    """What the CPU can do, in the words of Linux; nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


@cache
def _store() -> Store:
    digest = hashlib.sha256()
    for path in sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h")]):
        digest.update(path.read_bytes())
    return Store("native", digest.hexdigest(), sorted(cpu_flags()), _ALWAYS, FLAGS)
