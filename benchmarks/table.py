"""Write the tables of the README from the committed records: ``python -m benchmarks.table``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "records"
START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"


def load(name: str) -> dict[str, Any]:
    """One committed record."""
    record: dict[str, Any] = json.loads((RECORDS / f"{name}.json").read_text())
    return record


def speed_table(record: dict[str, Any]) -> list[str]:
    """Frames per second, and the ratio to the published code."""
    rows = [
        "| Input | Objects | ms per frame | frames per second | published code, ms | times faster |",
        "|---|---|---|---|---|---|",
    ]
    for size in record["sizes"]:
        for count, ms in size["frame_ms"].items():
            theirs, ratio = "cannot run", ""
            if count == "1":
                theirs = f"{size['published_frame_ms']:.0f}"
                ratio = f"**{size['speed_over_published']:.2f}**"
            fps = size["frames_per_second"][count]
            rows.append(f"| {size['size']} | {count} | {ms:.0f} | {fps:.2f} | {theirs} | {ratio} |")
    return rows


def where(record: dict[str, Any]) -> str:
    """Machine, versions and date of a record."""
    m = record["machine"]
    return f"{m['cpu']}, {record['threads']} threads, torch {m['torch']}, {record['precision']}, {m['date']}"


def memory_line(record: dict[str, Any]) -> str:
    """How far memory grows."""
    parts = ", ".join(
        f"{run['name']} {run['growth_mb']:+.1f} MB up to frame {run['frames']:,}" for run in record["runs"]
    )
    return f"Resident memory from frame 100 on: {parts} (published code: 12.6 MB more every frame)."


def section() -> str:
    """Everything between the markers."""
    tracking = load("tracking")
    lines = [
        "A tracked frame in steady state (seven memories, sixteen pointers) in PyTorch, beside the published",
        f"code in the same run ({where(tracking)}):",
        "",
        *speed_table(tracking),
        "",
        memory_line(load("streaming_memory")),
        "",
        "Records: [`benchmarks/records`](benchmarks/records); run them again with `make bench`.",
    ]
    return "\n".join([START, *lines, END])


def main() -> None:
    """Replace what is between the markers in the README."""
    path = ROOT / "README.md"
    text = path.read_text()
    head, rest = text.split(START)
    path.write_text(head + section() + rest.split(END)[1])


if __name__ == "__main__":
    main()
