"""Rows of the table, and how figures are written in it. Pure, but for the facts of the machine."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEAD = ("work", "reach", "measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table.

    Attributes:
        work: What was done.
        reach: What is to be reached; empty for a row that only informs.
        measured: What was found.
    """

    work: str
    reach: str
    measured: str


def markdown(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table (GitHub Flavored Markdown, tables)."""
    lines = [HEAD, ("---", "---", "---"), *((row.work, row.reach, row.measured) for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def seconds(values: Sequence[float]) -> str:
    """Write a median, with its range if there are several: `3.20 s (3.10 to 3.45, 3 runs)`."""
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:.2f} s"
    return f"{middle:.2f} s ({min(values):.2f} to {max(values):.2f}, {len(values)} runs)"


def times(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Divide two medians."""
    return statistics.median(slow) / statistics.median(fast)


def size(count: float) -> str:
    """Write bytes in MB of 10^6."""
    return f"{count / 1e6:.1f} MB" if count < 1e8 else f"{count / 1e6:.0f} MB"


def verdict(*, met: bool) -> str:
    """Say whether a figure is reached."""
    return "**met**" if met else "**missed**"


def machine_facts() -> str:
    """Describe the machine in a few words: what the figures depend on."""
    loads = ", ".join(f"{load:.2f}" for load in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    model = _first(Path("/proc/cpuinfo"), "model name") or platform.machine()
    memory = int((_first(Path("/proc/meminfo"), "MemTotal") or "0 kB").split()[0]) / 1e6
    python = platform.python_version()
    return (
        f"{cores} cores ({model}), {memory:.0f} GB, Linux {platform.release()}, envcap on Python {python}; load {loads}"
    )


def _first(path: Path, name: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
