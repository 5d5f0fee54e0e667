"""Draw the README's picture from the figures in ``results/``, in text, and put it there.

Run it when `calls.py`, `listing.py` or `download.py` have measured anew: ``python benchmarks/picture.py``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).with_name("results")
README = Path(__file__).parents[1] / "README.md"
WIDTH = 44
_BLOCK = re.compile(r"(<!-- python benchmarks/picture.py -->\n```text\n).*?(```\n)", re.DOTALL)


def comparisons() -> list[tuple[str, float, float, Callable[[float], str]]]:
    """Return what is compared: its name, the official SDK's figure, ours, and how to word them."""
    listing = json.loads((RESULTS / "listing.json").read_text())["results"]["2000"]
    calls = {
        tuple(key): figures for *key, figures in json.loads((RESULTS / "calls.json").read_text())["results"]
    }
    downloads = json.loads((RESULTS / "download.json").read_text())["summary"]["HTTPS"]
    sdk, ours = downloads["official SDK (no check)"], downloads["datarobot-mlops-async"]
    lists = [listing[name][0]["seconds"] for name in ("official SDK, Deployment.list()", "collect()")]
    gets = [
        calls["get", "HTTPS", 16, name]["us"] / 1000
        for name in ("official SDK, 16 threads", "datarobot_mlops_async")
    ]
    return [
        ("List 2,000 deployments, 50 ms a request", *lists, lambda seconds: f"{seconds:.2g} s"),
        ("Processor time of a get(), 16 at a time", *gets, lambda milliseconds: f"{milliseconds:.2g} ms"),
        ("Download 1 GiB over HTTPS (only here: verified)", 2**30 / sdk["speed"] / 1e9, 2**30 / ours["speed"] / 1e9,
         lambda seconds: f"{seconds:.2g} s"),
        ("Memory of that download", sdk["rss"], ours["rss"], lambda mebibytes: f"{mebibytes:,.0f} MiB"),
    ]  # fmt: skip


def picture() -> str:
    """Return the picture: two bars for each comparison."""
    lines = []
    for name, sdk, ours, worded in comparisons():
        lines.append(name)
        for who, figure in (("official SDK", sdk), ("this library", ours)):
            bar = "█" * max(1, round(WIDTH * figure / max(sdk, ours)))
            lines.append(f"  {who}  {bar} {worded(figure)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text, found = _BLOCK.subn(
        lambda match: match[1] + picture() + match[2], README.read_text(encoding="utf-8")
    )
    assert found == 1, "README.md has no place for the picture"
    README.write_text(text, encoding="utf-8")
