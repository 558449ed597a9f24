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
        lines: values from 0 to 100 by label, one per x; as many as there are `COLOURS` at most.
    """
    chart = _Chart(xs, [y for line in lines.values() for y in line])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, TOP - 16, title, 'font-size="15" font-weight="bold"'),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label, 'text-anchor="middle"'),
        _text(0, 0, y_label, f'text-anchor="middle" transform="translate(16 {HEIGHT / 2}) rotate(-90)"'),
        *chart.grid(),
    ]
    ends = _apart([chart.y(line[-1]) for line in lines.values()])
    for (label, line), end, colour in zip(lines.items(), ends, COLOURS, strict=False):
        parts += chart.line(line, colour)
        parts.append(_text(WIDTH - RIGHT + 10, end + 4, f"{label} {line[-1]:.1f}", f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>\n"])


class _Chart:
    """Places numbers on the picture."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        self.xs = xs
        self.low = min(STEP * int(min(ys) // STEP), 100 - STEP)
        self.high = min(100, max(self.low + STEP, STEP * -int(-max(ys) // STEP)))

    def x(self, value: float) -> float:
        span = (self.xs[-1] - self.xs[0]) or 1
        return LEFT + (value - self.xs[0]) / span * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> list[str]:
        out = []
        for value in range(self.low, self.high + 1, STEP):
            out.append(f'<path d="M{LEFT} {self.y(value):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
            out.append(_text(LEFT - 8, self.y(value) + 4, str(value), 'text-anchor="end"'))
        base = HEIGHT - BOTTOM + 18
        return out + [_text(self.x(value), base, f"{value:g}", 'text-anchor="middle"') for value in self.xs]

    def line(self, ys: Sequence[float], colour: str) -> list[str]:
        points = [(self.x(x), self.y(y)) for x, y in zip(self.xs, ys, strict=True)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        return [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def _apart(heights: Sequence[float], gap: float = 16) -> list[float]:
    """Move labels down where they would lie on each other."""
    moved = list(heights)
    order = sorted(range(len(moved)), key=lambda i: moved[i])
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + gap)
    return moved


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'
