"""Where the CPU time of the four processes goes under load: a flame graph of each, as SVG.

    PYTHONPATH=. .venv/bin/python benchmarks/_profile.py --label before [--messages N] [--into docs/images]

Samples come from py-spy (``pip install py-spy``; ``--sampler`` names the program), which looks at the processes from
outside and needs leave to trace them. Only threads that run are counted. The width of a box is its share of the samples
of the process; a box stands on its caller. ``--text`` prints the costliest functions too, with and without what they
call.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from benchmarks.throughput import Bench

WIDTH, ROW, LEFT, TOP = 1200, 17, 10, 40
CHARACTER = 6.6
LEAST_SHARE = 0.002
SHOWN = 45
# From the bottom: what is the standard library's loop or thread, ours, and others'.
COLOURS = {"node/": "#7aa6d9", "protocol/": "#8cc084", "exchange/": "#e0a458", "keys/": "#c79ac7"}
OTHERS = "#d9d9d9"

Stack = tuple[str, ...]


@dataclass
class Frame:
    """A function in one place of the stacks: how many samples saw it, and what it called."""

    samples: int = 0
    callees: dict[str, Frame] = field(default_factory=dict)


def read_stacks(raw: str) -> Counter[Stack]:
    """The samples by stack, outermost first, of collapsed stacks (``a;b;c 12``)."""
    stacks: Counter[Stack] = Counter()
    for line in raw.splitlines():
        text, _, count = line.rpartition(" ")
        # Which line it was is more than a picture can say.
        stacks[tuple(name.rpartition(":")[0] + ")" if name.endswith(")") else name for name in text.split(";"))] += int(
            count
        )
    return stacks


def tree(stacks: Counter[Stack]) -> Frame:
    """The stacks as one tree of calls."""
    root = Frame()
    for stack, count in stacks.items():
        frame = root
        frame.samples += count
        for name in stack:
            frame = frame.callees.setdefault(name, Frame())
            frame.samples += count
    return root


def depth_of(frame: Frame, least: float) -> int:
    """How many rows the drawing of ``frame`` takes."""
    return 1 + max((depth_of(callee, least) for callee in frame.callees.values() if callee.samples >= least), default=0)


def draw(title: str, stacks: Counter[Stack]) -> str:
    """The flame graph, callers above."""
    root = tree(stacks)
    least = root.samples * LEAST_SHARE
    height = TOP + ROW * depth_of(root, least) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 2 * LEFT}" height="{height}" '
        f'font-family="monospace" font-size="11">',
        f"<title>{escape(title)}</title>",
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)} ({root.samples} samples)</text>',
    ]
    _draw(parts, "all", root, 0.0, 0, root.samples, least)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _draw(parts: list[str], name: str, frame: Frame, x: float, row: int, total: int, least: float) -> None:
    width = WIDTH * frame.samples / total
    y = TOP + row * ROW
    colour = next((value for folder, value in COLOURS.items() if f"({folder}" in name), OTHERS)
    parts.append(
        f'<g><title>{escape(name)}: {frame.samples / total:.1%}</title><rect x="{LEFT + x:.1f}" y="{y}" '
        f'width="{max(width - 0.4, 0.2):.1f}" height="{ROW - 1}" fill="{colour}"/>'
    )
    fits = int(width / CHARACTER) - 1
    if fits >= 4:
        parts.append(f'<text x="{LEFT + x + 2:.1f}" y="{y + 12}">{escape(name[:fits])}</text>')
    parts.append("</g>")
    at = x
    for callee, below in sorted(frame.callees.items()):
        if below.samples >= least:
            _draw(parts, callee, below, at, row + 1, total, least)
        at += WIDTH * below.samples / total


def costliest(stacks: Counter[Stack]) -> str:
    """The functions that take the most, alone and with all that they call."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, count in stacks.items():
        own[stack[-1]] += count
        for name in set(stack):
            whole[name] += count
    total = sum(stacks.values())
    lines = ["alone:", *(f"  {count / total:6.1%} {name}" for name, count in own.most_common(SHOWN))]
    lines += ["with what they call:", *(f"  {count / total:6.1%} {name}" for name, count in whole.most_common(SHOWN))]
    return "\n".join(lines)


async def sample(arguments: argparse.Namespace, folder: Path) -> dict[str, Counter[Stack]]:
    """Run the load once to warm up and once with a sampler on each process."""
    bench = Bench(folder)
    await bench.start()
    try:
        bench.legs(min(300, arguments.messages), arguments.batch)
        samplers = {name: _sampler(arguments, pid, folder / f"{pid}.raw") for name, pid in bench.pids.items()}
        await asyncio.sleep(2)  # until they look
        bench.legs(arguments.messages, arguments.batch)
        for process in samplers.values():
            process.send_signal(signal.SIGINT)
        for process in samplers.values():
            process.wait(60)
        return {name: read_stacks((folder / f"{pid}.raw").read_text("utf-8")) for name, pid in bench.pids.items()}
    finally:
        await bench.stop()


def _sampler(arguments: argparse.Namespace, pid: int, into: Path) -> subprocess.Popen[bytes]:
    program = shutil.which(arguments.sampler)
    if program is None:
        raise SystemExit("py-spy is not there: pip install py-spy, or name it with --sampler")
    command = [program, "record", "--pid", str(pid), "--rate", str(arguments.rate), "--duration", "600"]
    command += ["--format", "raw", "--output", str(into), "--nonblocking", *(["--gil"] if arguments.gil else [])]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Parse the arguments, sample and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", default="now", help="what the file names end in")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=int, default=150, help="samples a second")
    parser.add_argument("--sampler", default="py-spy")
    parser.add_argument("--into", type=Path, default=Path("docs/images"))
    parser.add_argument("--gil", action="store_true", help="only threads that run Python")
    parser.add_argument("--text", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="comity-profile-") as folder:
        found = asyncio.run(sample(arguments, Path(folder)))
    arguments.into.mkdir(parents=True, exist_ok=True)
    for name, stacks in found.items():
        short = {"node jp": "origin-node", "node fr": "destination-node"}.get(name, name)
        path = arguments.into / f"profile-{short}-{arguments.label}.svg"
        path.write_text(draw(f"{short}: CPU under load", stacks), "utf-8")
        print(f"{path}: {sum(stacks.values())} samples")
        if arguments.text:
            print(costliest(stacks))


if __name__ == "__main__":
    main()
