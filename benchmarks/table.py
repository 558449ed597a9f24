"""Write the tables of the README from the committed records: ``python -m benchmarks.table``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "records"
SIZES, OBJECTS = (512, 1024), ("1", "5")
"""Shown in the table of engines; the record has more."""
CPU = "Granite Rapids"
OTHERS = {
    "engines_emerald_rapids": "an Emerald Rapids",
    "engines_zen5": "a Zen 5",
    "engines_zen4": "a Zen 4",
}
"""What records cannot tell of themselves: which CPU that of the table is of, and those of others."""
START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"


def load(name: str) -> dict[str, Any]:
    """One committed record."""
    record: dict[str, Any] = json.loads((RECORDS / f"{name}.json").read_text())
    return record


def memory_line(record: dict[str, Any]) -> str:
    """How far memory grows."""
    parts = ", ".join(
        f"{run['name']} {run['growth_mb']:+.1f} MB up to frame {run['frames']:,}" for run in record["runs"]
    )
    return f"Resident memory from frame 100 on: {parts} (published code: 12.6 MB more every frame)."


def engines_table(record: dict[str, Any], masks: dict[str, Any]) -> list[str]:
    """One line for each size, number of objects, engine and precision; ``masks`` has the overlaps."""
    agreement = {
        (size["size"], case): q["mean_iou"] for size in masks["sizes"] for case, q in size["quality"].items()
    }
    rows = [
        "| Input | Objects | Engine | ms per frame | times faster than published | mask IoU with fp32 |",
        "|---|---|---|---|---|---|",
    ]
    for size in (size for size in record["sizes"] if size["size"] in SIZES):
        theirs = size.get("published_frame_ms")
        for case, frames in size["frames"].items():
            found = agreement.get((size["size"], case))
            for count in (n for n in OBJECTS if n in frames):
                frame = frames[count]
                ratio = f"{theirs * int(count) / frame['ms']:.2f}" if theirs else ""
                iou = "" if found is None else f"{found:.4f}"
                name = case.replace(":", ", ")
                rows.append(f"| {size['size']} | {count} | {name} | {frame['ms']:.0f} | {ratio} | {iou} |")
    return rows


def speedups(record: dict[str, Any]) -> list[float]:
    """How many times faster than the published code one object at 1024 is, in OpenVINO's fp32 and bf16."""
    (size,) = (size for size in record["sizes"] if size["size"] == 1024)
    frames = [size["frames"][case]["1"]["ms"] for case in ("openvino:fp32", "openvino:bf16")]
    return [size["published_frame_ms"] / ms for ms in frames]


def engines_section(record: dict[str, Any], masks: dict[str, Any]) -> list[str]:
    """Engines and precisions beside each other."""
    m = record["machine"]
    where = f"{m['cpu']}, {CPU}, {record['threads']} threads, openvino {m['openvino']}, {m['date']}"
    others = [
        f"{fp32:.2f} (fp32) and {bf16:.2f} times (bf16) as fast on {name}"
        for name, (fp32, bf16) in ((name, speedups(load(file))) for file, name in OTHERS.items())
    ]
    return [
        "A tracked frame in steady state (seven memories, sixteen pointers) beside the published code in the",
        f"same run ({where}).",
        "The published code cannot run several objects, so its time for one is multiplied. *native* is our",
        "own kernels in C, the default where the CPU has AMX and there is a C compiler. int8 is",
        "memory attention in OpenVINO's int8, the rest in bf16. Masks are of the bundled weights, tracked on",
        f"{masks['machine']['date']}. Elsewhere, with older code in OpenVINO, one object at 1024 is",
        f"{', '.join(others)} ([more](docs/performance.md)).",
        "",
        *engines_table(record, masks),
    ]


def scores_table(record: dict[str, Any]) -> list[str]:
    """J&F of the bundled weights and of baselines that need no network."""
    rows = ["| | J&F | J | F |", "|---|---|---|---|"]
    for name, score in record["rows"].items():
        rows.append(f"| {name} | {score['jf']:.1f} | {score['j']:.1f} | {score['f']:.1f} |")
    return rows


def section() -> str:
    """Everything between the markers."""
    lines = [
        *engines_section(load("engines"), load("masks")),
        "",
        memory_line(load("streaming_memory")),
        "",
        "The *bundled* weights, which this project trained from nothing on two CPU cores, on six real",
        "sequences that they were never trained on, by the DAVIS toolkit's protocol, in percent",
        "([model card](docs/model_card.md)):",
        "",
        *scores_table(load("bundled_weights")),
        "",
        "Records: [`benchmarks/records`](benchmarks/records); `make bench` measures speed and memory again, "
        "`python -m\nbenchmarks.bundled_weights --root FOLDER` these scores.",
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
