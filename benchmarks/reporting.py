"""What all benchmarks write: a table for people, the figures as JSON, and what they were measured on."""

from __future__ import annotations

import json
import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RESULTS = Path(__file__).with_name("results")
Target = tuple[str, float, str, bool]


def machine() -> str:
    """Name the machine and what runs on it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} x {processor}, {system}"


def spread(values: Sequence[float], unit: str = "", digits: int = 2) -> str:
    """Return median and range: ``1.20 (1.10 to 1.40) s``."""
    middle = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        middle += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return f"{middle} {unit}".rstrip()


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


def targets_table(targets: Iterable[Target]) -> list[str]:
    """Return the lines of the table of targets."""
    rows = [
        (what, f"{figure:.2f}", limit, "met" if met else "**missed**") for what, figure, limit, met in targets
    ]
    return ["## Targets", "", *table(("", "measured", "target", ""), rows)]


def write(name: str, title: str, how: str, lines: Iterable[str], figures: dict[str, Any]) -> None:
    """Write the results as ``results/NAME.md`` and ``.json`` and print the former."""
    head = (
        f"`python benchmarks/{name}.py`, {datetime.now(UTC):%Y-%m-%d}: {how} {machine()}. "
        f"Load while it ran: {os.getloadavg()[0]:.1f}."
    )
    text = "\n".join([f"# {title}", "", head, "", *lines]) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), **figures}, indent=1) + "\n")
    print(text)
