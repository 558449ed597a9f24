"""A line chart as SVG, drawn here: a plotting library would be a large dependency for a small need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

__all__ = ["line_chart"]

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 92, 40, 48
COLOURS = ("#1f6feb", "#d9822b", "#3a9b57", "#a04bd0")
STEP = 10


def line_chart(
    title: str, x_label: str, y_label: str, xs: Sequence[float], lines: Mapping[str, Sequence[float]]
) -> str:
    """Draw percentages over a few numbers; the label and last value of each line stand at its end.

    Args:
        title: above the chart.
        x_label: below it.
        y_label: at its left, turned.
        xs: ascending, at least one; every one gets a tick.
        lines: values from 0 to 100 by label, one per x.
    """
    values = [y for line in lines.values() for y in line]
    low = STEP * int(min(values) // STEP)
    high = min(100, max(low + STEP, STEP * -int(-max(values) // STEP)))
    span = (xs[-1] - xs[0]) or 1

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - xs[0]) / span * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, TOP - 16, title, 'font-size="15" font-weight="bold"'),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label, 'text-anchor="middle"'),
        _text(0, 0, y_label, f'text-anchor="middle" transform="translate(16 {HEIGHT / 2}) rotate(-90)"'),
    ]
    for y in range(low, high + 1, STEP):
        (x0, height), (x1, _) = at(xs[0], y), at(xs[-1], y)
        parts.append(f'<path d="M{x0:.1f} {height:.1f}H{x1:.1f}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 8, height + 4, str(y), 'text-anchor="end"'))
    parts += [_text(at(x, low)[0], HEIGHT - BOTTOM + 18, f"{x:g}", 'text-anchor="middle"') for x in xs]
    ends = _apart([at(xs[-1], line[-1])[1] for line in lines.values()])
    for (label, line), end, colour in zip(lines.items(), ends, COLOURS, strict=False):
        points = [at(x, y) for x, y in zip(xs, line, strict=True)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(_text(WIDTH - RIGHT + 10, end + 4, f"{label} {line[-1]:.1f}", f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>\n"])


def _apart(heights: Sequence[float], gap: float = 16) -> list[float]:
    """Move labels down where they would lie on each other."""
    moved = list(heights)
    order = sorted(range(len(moved)), key=lambda i: moved[i])
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + gap)
    return moved


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'
