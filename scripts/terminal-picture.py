#!/usr/bin/env python3
"""Runs a command in a real terminal (tmux) and writes what the screen shows at its end as an SVG.

usage: terminal-picture.py OUTPUT.svg COLUMNS COMMAND...

The pictures in docs/ are made with this, from real runs, so that they say what the program says.
"""

import html
import re
import shlex
import subprocess
import sys

CELL_WIDTH, LINE_HEIGHT, MARGIN = 8.4, 19, 16
COLOURS = {
    30: "#45475a", 31: "#f38ba8", 32: "#a6e3a1", 33: "#f9e2af",
    34: "#89b4fa", 35: "#f5c2e7", 36: "#94e2d5", 37: "#bac2de", 90: "#7f849c",
}


def screen_of(command, columns):
    """The screen after the command has ended, with its colour sequences."""
    session = ["tmux", "-L", "sandbar-picture"]
    shown = "$ " + shlex.join(command)
    script = f"printf '%s\\n' {shlex.quote(shown)}; {shlex.join(command)}; tmux -L sandbar-picture wait-for -S done; sleep 60"
    subprocess.run(
        session + ["new-session", "-d", "-x", str(columns), "-y", "60", "sh", "-c", script], check=True)
    try:
        subprocess.run(session + ["wait-for", "done"], check=True, timeout=600)
        return subprocess.run(
            session + ["capture-pane", "-e", "-p"], check=True, capture_output=True, text=True).stdout
    finally:
        subprocess.run(session + ["kill-session"], check=True)


def spans(line):
    """Pieces of a line, each with its SVG attributes."""
    bold, colour = False, None
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        sequence = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not sequence:
            if part:
                attributes = (' font-weight="bold"' if bold else "") + (f' fill="{colour}"' if colour else "")
                yield attributes, part
            continue
        for code in [int(c or 0) for c in sequence.group(1).split(";")]:
            if code == 0:
                bold, colour = False, None
            elif code == 1:
                bold = True
            elif code == 2:
                colour = COLOURS[90]
            elif code == 22:
                bold = False
            elif code == 39:
                colour = None
            elif code in COLOURS:
                colour = COLOURS[code]


def svg(screen, columns):
    lines = screen.rstrip().split("\n")
    width, height = columns * CELL_WIDTH + 2 * MARGIN, len(lines) * LINE_HEIGHT + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">',
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#1e1e2e"/>',
        '<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" fill="#cdd6f4" xml:space="preserve">',
    ]
    for number, line in enumerate(lines):
        y = MARGIN + (number + 0.75) * LINE_HEIGHT
        pieces = "".join(f"<tspan{a}>{html.escape(text)}</tspan>" for a, text in spans(line))
        out.append(f'<text x="{MARGIN}" y="{y:.0f}">{pieces}</text>')
    return "\n".join(out + ["</g>", "</svg>", ""])


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    output, columns, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    with open(output, "w", encoding="utf-8") as file:
        file.write(svg(screen_of(command, columns), columns))


if __name__ == "__main__":
    main()
