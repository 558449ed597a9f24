"""Write the tables of the README from the committed records: ``python -m benchmarks.table``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "records"
SHOWN = ("1", "5")
"""Numbers of objects in the table of engines."""
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


def engines_table(record: dict[str, Any]) -> list[str]:
    """One line for each size, number of objects, engine and precision."""
    rows = [
        "| Input | Objects | Engine | ms per frame | times faster than published | mask IoU with fp32 |",
        "|---|---|---|---|---|---|",
    ]
    for size in record["sizes"]:
        theirs = size.get("published_frame_ms")
        for case, frames in size["frames"].items():
            agreement = size.get("quality", {}).get(case, {}).get("mean_iou")
            for count in (n for n in SHOWN if n in frames):
                frame = frames[count]
                ratio = f"{theirs * int(count) / frame['ms']:.2f}" if theirs else ""
                iou = "" if agreement is None else f"{agreement:.4f}"
                name = case.replace(":", ", ")
                rows.append(f"| {size['size']} | {count} | {name} | {frame['ms']:.0f} | {ratio} | {iou} |")
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


def engines_section(record: dict[str, Any]) -> list[str]:
    """Engines and precisions beside each other."""
    m = record["machine"]
    return [
        f"The engines beside each other ({m['cpu']}, {record['threads']} threads, openvino {m['openvino']}, "
        f"{m['date']};",
        "the published code cannot run several objects, so its time for one is multiplied; more in",
        "[docs/performance.md](docs/performance.md)):",
        "",
        *engines_table(record),
    ]


def section() -> str:
    """Everything between the markers."""
    tracking = load("tracking")
    lines = [
        "A tracked frame in steady state (seven memories, sixteen pointers) in PyTorch, beside the published",
        f"code in the same run ({where(tracking)}):",
        "",
        *speed_table(tracking),
        "",
        *engines_section(load("engines")),
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
