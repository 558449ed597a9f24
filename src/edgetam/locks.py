"""One process at a time: locks that end with the process that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edgetam.atomic import make_folder, output_error
from edgetam.errors import OutputError

__all__ = ["alone", "sole_writer"]

LOCK = ".edgetam.lock"


@contextmanager
def alone(lock: str | Path, patience: float = -1) -> Iterator[None]:
    """One process at a time, of those that ask for this lock.

    It has no effect on disks that know no locks, and in environments that only run bundles and lack filelock.

    Args:
        lock: its file.
        patience: seconds to wait for others; -1 waits until they are done.

    Raises:
        OSError: the file cannot be written, or others took longer (a TimeoutError).
    """
    with ExitStack() as stack:
        with suppress(NotImplementedError, ImportError):
            from filelock import FileLock

            stack.enter_context(FileLock(lock, timeout=patience))
        yield


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Make sure that no other run writes to a folder, which is made where it is missing.

    Raises:
        OutputError: another run writes there, or the folder cannot be written.
    """
    lock = make_folder(folder) / LOCK
    with ExitStack() as stack:
        try:
            stack.enter_context(alone(lock, 0))
        except TimeoutError:
            raise OutputError(
                f"Another run is writing to '{folder}'; wait until it has ended, or choose another folder "
                "with -o."
            ) from None
        except OSError as error:
            raise output_error(lock, error) from error
        yield
