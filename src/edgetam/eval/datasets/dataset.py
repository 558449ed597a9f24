"""Opening a data set: find its layout, name its videos, read each one when it is its turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgetam.errors import ConfigError, MediaError
from edgetam.eval.datasets.benchmarks import Benchmark, Layout
from edgetam.eval.datasets.patterns import FileKey, FilePattern
from edgetam.eval.datasets.video import EvalVideo, MaskKind
from edgetam.io.lists import listed_videos

__all__ = ["Dataset", "open_dataset"]

_SHOWN = 5


@dataclass(frozen=True)
class Dataset:
    """A split of a benchmark on disk.

    Attributes:
        benchmark: whose rules hold.
        root: where it lies.
        layout: how it lies there.
        names: its videos.
    """

    benchmark: Benchmark
    root: Path
    layout: Layout
    names: tuple[str, ...]

    @property
    def kind(self) -> MaskKind:
        """What the pixels of the ground truth mean."""
        return "objects" if FilePattern(self.layout.masks).per_object else self.benchmark.kind

    @property
    def protocol(self) -> str:
        """The protocol it is scored by."""
        # benchmarks of ids that lie as a folder per object are scored as those that are published so
        return "sav" if self.per_object else self.benchmark.protocol

    @property
    def per_object(self) -> bool:
        """Whether every object has files of its own, in the ground truth and in what is predicted."""
        return self.kind == "objects"

    def select(self, names: Iterable[str]) -> Dataset:
        """The same with some of its videos only.

        Raises:
            ConfigError: it does not have one of them.
        """
        chosen = tuple(names)
        if unknown := [name for name in chosen if name not in self.names]:
            raise ConfigError(
                f"There is no sequence '{unknown[0]}' in {self.benchmark.title} at '{self.root}'; "
                f"it has {_listed(self.names)}."
            )
        return replace(self, names=chosen)

    def has_truth(self) -> bool:
        """Whether there is more ground truth than prompts, so that results can be scored here."""
        return self.layout.truth and any(len(self.video(name).annotated) > 1 for name in self.names)

    def video(self, name: str) -> EvalVideo:
        """List the files of one video.

        Raises:
            MediaError: frames or masks are missing, or their names do not match.
        """
        frames = _flat(FilePattern(self.layout.frames).files(self.root, name))
        if not frames:
            folder = FilePattern(self.layout.frames).folder(self.root, name)
            raise MediaError(f"Sequence '{name}' has no frames; expected them in '{folder}'.")
        index = {frame: i for i, frame in enumerate(frames)}
        truth: dict[int, dict[str, Path]] = {}
        for key, path in FilePattern(self.layout.masks).files(self.root, name).items():
            _check_known(name, path, key.frame, index)
            truth.setdefault(index[key.frame], {})[key.object] = path
        void = self.benchmark.void
        return EvalVideo(
            name, tuple(frames), tuple(frames.values()), truth, self.kind, self._written(name, index), void
        )

    def _written(self, name: str, index: dict[str, int]) -> tuple[int, ...]:
        if self.layout.written is None:
            return tuple(range(len(index)))
        files = FilePattern(self.layout.written).files(self.root, name)
        for key, path in files.items():
            _check_known(name, path, key.frame, index)
        return tuple(sorted(index[key.frame] for key in files))


def open_dataset(benchmark: Benchmark, root: str | Path, split: str | None = None) -> Dataset:
    """Find a data set on disk.

    Args:
        benchmark: what it should be; see `get_benchmark`.
        root: the folder it lies in.
        split: one of its splits; the first by default.

    Raises:
        ConfigError: there is no such split.
        MediaError: the folder does not hold what it should.
    """
    folder = Path(root)
    chosen = split or next(iter(benchmark.splits))
    if chosen not in benchmark.splits:
        raise ConfigError(
            f"{benchmark.title} has no split '{chosen}'; expected one of {', '.join(benchmark.splits)}."
        )
    if not folder.is_dir():
        raise MediaError(f"There is no folder '{folder}'; expected {benchmark.title} in it.")
    for layout in benchmark.splits[chosen]:
        if names := _names(folder, layout):
            return Dataset(benchmark, folder, layout, names)
    raise MediaError(_wrong_layout(benchmark, folder, chosen))


def _names(root: Path, layout: Layout) -> tuple[str, ...]:
    """Videos that have frames and, unless they are listed, masks; none where the layout is another."""
    pattern, masks = FilePattern(layout.frames), FilePattern(layout.masks)
    if layout.listed is not None:
        file = root / layout.listed
        return tuple(listed_videos(file.read_text())) if file.is_file() else ()
    names = pattern.videos(root)
    with_masks = set(masks.videos(root))
    if not any(masks.files(root, name) for name in names[:_SHOWN] if name in with_masks):
        return ()
    if missing := [name for name in names if name not in with_masks]:
        raise MediaError(
            f"Sequence '{missing[0]}' has frames and no masks ({len(missing)} such sequences); "
            f"expected '{masks.folder(root, missing[0])}'."
        )
    return tuple(names)


def _flat(files: dict[FileKey, Path]) -> dict[str, Path]:
    return {key.frame: path for key, path in files.items()}


def _check_known(video: str, mask: Path, frame: str, index: dict[str, int]) -> None:
    if frame not in index:
        raise MediaError(
            f"Sequence '{video}', frame {frame}: there is '{mask}' but no frame of that name; "
            f"the frames are {_listed(tuple(index))}."
        )


def _wrong_layout(benchmark: Benchmark, root: Path, split: str) -> str:
    expected = " or ".join(
        f"{layout.frames} with {layout.masks}" + (f" and the list {layout.listed}" if layout.listed else "")
        for layout in benchmark.splits[split]
    )
    inside = sorted(
        path.name + "/" * path.is_dir() for path in root.iterdir() if not path.name.startswith(".")
    )
    hint = f" ({benchmark.note})" if benchmark.note else ""
    return (
        f"'{root}' holds no frames of {benchmark.title}, split '{split}': expected {expected}{hint}; "
        f"found {_listed(tuple(inside)) if inside else 'an empty folder'}."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
