"""Line plots as SVG, by hand: a few hundred bytes of text around the points."""

import math
from html import escape

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 44
COLOURS = ["#0b6e4f", "#2a6fdb", "#c8553d", "#8e5aa8", "#b58900", "#555555"]


def nice_step(span, about):
    """A step of 1, 2 or 5 times a power of ten that cuts `span` into about so many."""
    raw = span / about
    power = 10 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)


def thin(points, most=700):
    """Few enough points to draw, with the highest of each stretch kept."""
    if len(points) <= most:
        return points
    size = math.ceil(2 * len(points) / most)
    kept = []
    for start in range(0, len(points), size):
        stretch = points[start:start + size]
        ends = {stretch.index(min(stretch, key=lambda p: p[1])), stretch.index(max(stretch, key=lambda p: p[1]))}
        kept += [stretch[index] for index in sorted(ends)]
    return kept


def plot(title, x_label, y_label, series):
    """`series` is `[(name, [(x, y), ...]), ...]`; all axes begin at 0."""
    series = [(name, thin(points)) for name, points in series if points]
    x_most = max((x for _, points in series for x, _ in points), default=1) or 1
    y_most = (max((y for _, points in series for _, y in points), default=1) or 1) * 1.05
    x_at = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * x / x_most
    y_at = lambda y: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / y_most
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="16" font-size="14">{escape(title)}</text>']
    step = nice_step(y_most, 6)
    for number in range(int(y_most / step) + 1):
        y = y_at(number * step)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number * step:g}</text>')
    step = nice_step(x_most, 10)
    for number in range(int(x_most / step) + 1):
        out.append(f'<text x="{x_at(number * step):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{number * step:g}</text>')
    out.append(f'<text x="{(WIDTH + LEFT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
               f'<text transform="translate(14 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>')
    for number, (name, points) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        path = "L".join(f"{x_at(x):.1f} {y_at(y):.1f}" for x, y in points)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    # The names, along the top from the right.
    x = WIDTH - RIGHT
    for number, (name, _) in reversed(list(enumerate(series))):
        out.append(f'<text x="{x}" y="16" text-anchor="end" fill="{COLOURS[number % len(COLOURS)]}">{escape(name)}</text>')
        x -= 7 * len(name) + 16
    return "\n".join(out) + "\n</svg>\n"
