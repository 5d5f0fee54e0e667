"""How long it takes to make one deployment out of an answer's bytes, beside other ways to do it.

Run ``python benchmarks/decoding.py``. It checks that all ways give the same result before it
times any, runs them in turn, and writes ``benchmarks/results/decoding.json`` and ``.md``. Only
ratios within one run mean something: the machine's speed changes from one to the next.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import platform
import statistics
import subprocess
import sys
import time
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, override

from datarobot_mlops_async._decoding import Decoder
from datarobot_mlops_async._decoding._records import json_name
from datarobot_mlops_async.models import Deployment, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULTS = Path(__file__).with_name("results")
OURS = "datarobot_mlops_async"
PAGE = 100
KEPT = (2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
OURS_IN_A_PAGE = f"datarobot_mlops_async, in a page of {PAGE}"
STRICT = "datarobot_mlops_async, strict"
PARSED = "json.loads alone"
CATTRS = "json.loads, a plain cattrs converter"
MSGSPEC = "msgspec's own structs"
MSGSPEC_PARSED = "msgspec.json.decode alone"
OFFICIAL = "json.loads, official SDK's from_server_data"

# Every property of the API page, with values as a server sends them.
REFERENCE = json.loads(Path(__file__).with_name("deployment.json").read_text(encoding="utf-8"))


def documented(cls: type[attrs.AttrsInstance]) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(cls)
    return ((field.name, hints[field.name]) for field in attrs.fields(cls) if field.name != "_extra")


def with_cattrs() -> Callable[[bytes], Any]:
    """cattrs without anything of ours, for the same classes: no type checks, no unknown fields."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    converter.register_structure_hook(int | float, lambda value, _: value)

    def is_open_enum(type_: Any) -> bool:
        return any(isinstance(part, type) and issubclass(part, Enum) for part in get_args(type_))

    @converter.register_structure_hook_factory(is_open_enum)
    def _(type_: Any) -> Callable[[Any, Any], Any]:
        (enum,) = (part for part in get_args(type_) if issubclass(part, Enum))
        return lambda value, _: None if value is None else enum(value)

    @converter.register_structure_hook_factory(lambda cls: attrs.has(cls) and issubclass(cls, Record))
    def _(cls: Any) -> Any:
        renamed = {name: override(rename=json_name(name)) for name, _ in documented(cls)}
        return make_dict_structure_fn(cls, converter, _extra=override(omit=True), **renamed)

    hook = converter.get_structure_hook(Deployment)
    return lambda body: hook(json.loads(body), Deployment)


def with_msgspec() -> Callable[[bytes], Any]:
    """msgspec structs with the same fields: types checked in C, enumerations closed, no unknown fields."""

    @functools.cache
    def struct_for(cls: Any) -> type:
        fields = [(name, translate(type_) | None, None) for name, type_ in documented(cls)]
        rename = {name: json_name(name) for name, _ in documented(cls)}
        return msgspec.defstruct(cls.__name__, fields, rename=rename, frozen=True)

    def translate(type_: Any) -> Any:
        parts = [part for part in get_args(type_) if part is not NoneType]
        enums = [part for part in parts if isinstance(part, type) and issubclass(part, Enum)]
        if getattr(type_, "__origin__", None) is tuple:
            return tuple[translate(parts[0]), ...]
        if enums:
            return enums[0]
        if len(parts) == 1:
            return translate(parts[0])
        return struct_for(type_) if attrs.has(type_) else type_

    return msgspec.json.Decoder(struct_for(Deployment)).decode


def with_official_sdk() -> Callable[[bytes], Any]:
    import datarobot  # a peer that need not be installed

    return lambda body: datarobot.Deployment.from_server_data(json.loads(body))


def subjects(body: bytes) -> dict[str, Callable[[], Any]]:
    tolerant, strict = Decoder(), Decoder(strict=True)
    found: dict[str, Callable[[], Any]] = {
        OURS: lambda: tolerant.decode(body, Deployment, operation="GET"),
        STRICT: lambda: strict.decode(body, Deployment, operation="GET"),
        PARSED: lambda: json.loads(body),
        MSGSPEC_PARSED: lambda: msgspec.json.decode(body),
    }
    for name, make in {CATTRS: with_cattrs, MSGSPEC: with_msgspec, OFFICIAL: with_official_sdk}.items():
        try:
            found[name] = functools.partial(make(), body)
        except ImportError:
            print(f"{name} is not installed", file=sys.stderr)
    return found


def page_subject() -> Callable[[], Any]:
    page = {"data": [REFERENCE] * PAGE, "count": PAGE, "totalCount": PAGE, "next": None, "previous": None}
    return functools.partial(Decoder().decode_page, json.dumps(page).encode(), Deployment, operation="GET")


def verify(found: dict[str, Callable[[], Any]]) -> None:
    """Check that every way finds the same values before any of them is timed."""
    results = {name: decode() for name, decode in found.items()}
    ours = results.pop(OURS)
    assert results.pop(PARSED) == results.pop(MSGSPEC_PARSED) == REFERENCE
    assert page_subject()().items == (ours,) * PAGE
    if official := results.pop(OFFICIAL, None):
        # It keeps the nested objects as dictionaries.
        assert (official.id, official.label, official.status) == (ours.id, ours.label, ours.status)
        assert official.model["target_name"] == ours.model.target_name
        assert official.service_health["end_date"] == ours.service_health.end_date
    for name, result in results.items():
        assert agree(ours, result), name


def agree(ours: Any, other: Any) -> bool:
    if isinstance(ours, tuple):
        return len(ours) == len(other) and all(map(agree, ours, other))
    if isinstance(ours, Record):
        return all(agree(getattr(ours, name), getattr(other, name)) for name, _ in documented(type(ours)))
    return bool(ours == other)


def measure(found: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return microseconds a deployment, one figure for each round, the subjects taking turns."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, decode in found.items():
            made = PAGE if name == OURS_IN_A_PAGE else 1
            calls = {OURS_IN_A_PAGE: 10, OFFICIAL: 40}.get(name, 1000)
            # CPU time: others may run on the same cores.
            start = time.process_time()
            for _ in range(calls):
                decode()
            times[name].append((time.process_time() - start) / calls / made * 1e6)
    return times


def page_of(start: int) -> bytes:
    rows = [{**REFERENCE, "id": f"{n:024x}", "label": f"deployment {n}"} for n in range(start, start + PAGE)]
    page = {"data": rows, "count": PAGE, "totalCount": KEPT[-1], "next": None, "previous": None}
    return json.dumps(page).encode()


def measure_kept() -> list[tuple[int, float, float]]:
    """Decode pages and keep them; return rows so far, CPU µs a row, and the collector's share of them."""
    decoder, clock, collected = Decoder(), time.process_time, 0.0

    def collecting(phase: str, _info: object) -> None:
        nonlocal collected
        collected += clock() if phase == "stop" else -clock()

    decoder.decode_page(page_of(0), Deployment, operation="GET")
    found, kept, total, by_collector = [], [], 0.0, 0.0
    gc.callbacks.append(collecting)
    while len(kept) < KEPT[-1]:
        body = page_of(len(kept))
        started, before = clock(), collected
        kept += decoder.decode_page(body, Deployment, operation="GET").items
        total, by_collector = total + clock() - started, by_collector + collected - before
        if len(kept) in KEPT:
            found.append((len(kept), total / len(kept) * 1e6, by_collector / len(kept) * 1e6))
    gc.callbacks.remove(collecting)
    return found


def measure_first_use() -> float:
    """Return the milliseconds that making the hooks adds to a process's first deployment."""
    code = (
        "import json, sys, time; from datarobot_mlops_async._decoding import Decoder;"
        "from datarobot_mlops_async.models import Deployment; body = sys.stdin.buffer.read();"
        "start = time.perf_counter(); Decoder().decode(body, Deployment, operation='GET');"
        "print((time.perf_counter() - start) * 1e3)"
    )
    body = json.dumps(REFERENCE).encode()
    runs = [
        subprocess.run([sys.executable, "-c", code], input=body, capture_output=True, check=True)
        for _ in range(5)
    ]
    return statistics.median(float(run.stdout) for run in runs)


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0]}, {len(models)} cores" if models else platform.processor() or platform.machine()


def summarize(times: dict[str, list[float]]) -> list[dict[str, Any]]:
    rows = []
    for name, figures in times.items():
        low, middle, high = statistics.quantiles(figures, n=4)
        ratio = statistics.median(other / own for other, own in zip(figures, times[OURS], strict=True))
        rows.append({"subject": name, "median": middle, "quartiles": [low, high], "against_ours": ratio})
    return rows


def report(rows: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    by_name = {row["subject"]: row for row in rows}
    circumstances = (
        f"`python benchmarks/decoding.py` on {facts['machine']}, Python {facts['python']}: {facts['bytes']} bytes with "
        f"every field of the API page, {facts['rounds']} rounds. Ratios are medians of the rounds' own."
    )
    lines = [
        "# Decoding one deployment from bytes",
        "",
        circumstances,
        "",
        "| way | median CPU, µs | quartiles, µs | against ours |",
        "|---|---:|---:|---:|",
    ]
    for row in rows:
        low, high = row["quartiles"]
        lines.append(
            f"| {row['subject']} | {row['median']:.1f} | {low:.1f} to {high:.1f} | {row['against_ours']:.2f}x |"
        )
    lines += [
        "",
        f"- The first deployment of a process: {facts['first_use_ms']:.1f} ms, most of it to make the hooks.",
    ]
    lines += [f"- Target, at most 18 µs: {'met' if by_name[OURS]['median'] <= 18 else 'missed'}."]
    if OFFICIAL in by_name:
        ratio = by_name[OFFICIAL]["against_ours"]
        lines += [
            f"- Target, at least 20 times the official SDK: {'met' if ratio >= 20 else 'missed'} ({ratio:.0f}x)."
        ]
    explained = (
        f"Pages of {PAGE} decoded one after the other and kept, as `collect()` keeps them. Decoding a row takes as "
        "long in a long list as in a short one; what grows is the share of Python's cycle collector, which walks all "
        "that is kept again and again (`gc.freeze()` and `gc.disable()` are the program's to call, not a library's)."
    )
    lines += [
        "",
        "## A long list",
        "",
        explained,
        "",
        "| rows kept | CPU a row, µs | of it the collector, µs | the rest, µs |",
        "|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {kept:,} | {all_:.1f} | {collector:.1f} | {all_ - collector:.1f} |"
        for kept, all_, collector in facts["kept"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    body = json.dumps(REFERENCE).encode()
    found = subjects(body)
    verify(found)
    rows = summarize(measure({**found, OURS_IN_A_PAGE: page_subject()}, rounds))
    facts = {
        "machine": cpu_model(),
        "python": platform.python_version(),
        "bytes": len(body),
        "rounds": rounds,
        "first_use_ms": measure_first_use(),
        "kept": measure_kept(),
    }
    table = report(rows, facts)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "decoding.json").write_text(
        json.dumps({**facts, "rows": rows}, indent=2) + "\n", encoding="utf-8"
    )
    (RESULTS / "decoding.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
