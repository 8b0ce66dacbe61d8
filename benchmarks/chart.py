"""Time and peak memory against size, as an SVG of two panels a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.growth import Growth

_WIDTH, _HEIGHT, _MARGIN = 360, 240, 52


def chart(growths: Sequence[Growth]) -> str:
    """Draw every growth: points, and the straight line expected of the times."""
    panels = []
    for row, growth in enumerate(growths):
        title = f"against {growth.against}"
        panels.append(_panel(0, row, f"seconds {title}", growth.sizes, growth.seconds))
        panels.append(_panel(1, row, f"peak MB {title}", growth.sizes, [peak / 1e6 for peak in growth.peaks]))
    width, height = 2 * _WIDTH, len(growths) * _HEIGHT
    body = "\n".join(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{width}" height="{height}" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(column: int, row: int, title: str, sizes: Sequence[float], values: Sequence[float]) -> str:
    left, top = column * _WIDTH + _MARGIN, row * _HEIGHT + 30
    width, height = _WIDTH - _MARGIN - 20, _HEIGHT - 70
    most_x, most_y = max(sizes), max(values) * 1.1
    points = [(left + width * x / most_x, top + height * (1 - y / most_y)) for x, y in zip(sizes, values, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#2563eb"/>' for x, y in points)
    axis = f"{left},{top} {left},{top + height} {left + width},{top + height}"
    return "\n".join(
        [
            f'<text x="{left}" y="{top - 10}" font-weight="bold">{title}</text>',
            f'<polyline points="{axis}" fill="none" stroke="#888"/>',
            f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{most_y:.3g}</text>',
            f'<text x="{left - 6}" y="{top + height}" text-anchor="end">0</text>',
            f'<text x="{left + width}" y="{top + height + 16}" text-anchor="end">{most_x:,}</text>',
            f'<polyline points="{path}" fill="none" stroke="#2563eb"/>{dots}',
        ]
    )
