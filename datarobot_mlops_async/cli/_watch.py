"""Changes of a fleet as they come: JSON for machines, lines for programs, a live table for people."""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from attrs import asdict, field, frozen
from rich.console import Group
from rich.live import Live
from rich.text import Text

from datarobot_mlops_async.cli._messages import count, duration
from datarobot_mlops_async.cli._printing import field_text, style_of, table_of, to_json
from datarobot_mlops_async.cli._terminal import plain
from datarobot_mlops_async.cli._views import Column

if TYPE_CHECKING:
    from pathlib import Path

    from datarobot_mlops_async.cli._terminal import Terminal
    from datarobot_mlops_async.errors import MLOpsError
    from datarobot_mlops_async.models import Deployment
    from datarobot_mlops_async.resources import Watch
    from datarobot_mlops_async.session import AsyncSession

_COMING_AND_GOING = {"added": ("+ added", "green"), "removed": ("- removed", "dim")}
_LINES_BELOW = 4


@frozen(kw_only=True)
class Seen:
    """A change and when it was seen, in the order in which a line of JSON tells it."""

    at: datetime = field(factory=partial(datetime.now, UTC))
    kind: str
    fields: tuple[str, ...]
    deployment: Deployment
    before: Deployment | None


def _what(seen: Seen) -> Text:
    """Return what has happened, for a column: of the fields that differ the first one, and how many more do."""
    if not seen.fields:
        return Text(*_COMING_AND_GOING[seen.kind])
    name, *more = seen.fields
    after = _word(getattr(seen.deployment, name))
    differs = after != _word(getattr(seen.before, name))
    first = ((f"{name} → ", "dim"), (after, style_of(after))) if differs else ((name, "dim"),)
    return Text.assemble(*first, (f", +{len(more)}" if more else "", "dim"))


def _word(value: Any) -> str:
    """Return one word for a value: a health's status, a scalar's text, nothing for what has many."""
    value = getattr(value, "status", value)
    return field_text(value) if value is None or isinstance(value, (str, int, float)) else ""


def _since(seconds: float) -> str:
    return duration(seconds) if seconds >= 60 else f"{seconds:.0f} s"


_COLUMNS = (
    Column("ID", "deployment.id"),
    Column("WHAT", _what),
    Column("LABEL", "deployment.label", wide=True),
    Column("SEEN", lambda seen: f"{seen.at.astimezone():%H:%M:%S}"),
)


async def watch_deployments(
    terminal: Terminal,
    session: AsyncSession,
    *,
    as_lines: bool,
    limit: int | None,
    state: Path | None,
    **options: Any,
) -> None:
    """Print changes until there were ``limit`` of them, or for ever with ``None``.

    A ``state`` file is gone on from and kept up to date. ``options`` are those of ``session.deployments.watch``.
    """

    def tell(error: MLOpsError) -> None:
        view.trouble = error.summary
        if not live:
            terminal.say(f"last seen {_since(watch.stale_for or 0.0)} ago: {error.summary}")

    file = None if state is None else anyio.Path(state)
    saved = await file.read_text("ascii") if file is not None and await file.exists() else None
    watch = session.deployments.watch(state=saved, on_outage=tell, **options)
    live = terminal.live and not as_lines
    view = _View(terminal, watch)
    try:
        if live:
            # Two lines that are drawn over would draw over each other.
            terminal.hide()
            terminal.spins = False
        with Live(view, console=terminal.out, refresh_per_second=2) if live else nullcontext():
            view.count = len(await watch.snapshot())
            if not live:
                terminal.say(f"watching {count(view.count, 'deployment')}")
            for _ in iter(int, 1) if limit is None else range(limit):
                seen = Seen(**asdict(await anext(watch), recurse=False))
                view.add(seen)
                if not live:
                    terminal.write(to_json(seen) if as_lines else _line(seen))
    finally:
        if state is not None and watch.stale_for is not None:
            # An old state or a new one is there, and never half of one.
            new = state.with_name(f"{state.name}.new")
            new.write_text(watch.state, "ascii")
            new.replace(state)


class _View:
    """The last changes, as many as a screen has room for, and how old is what is known."""

    def __init__(self, terminal: Terminal, watch: Watch) -> None:
        self.count = 0
        self.trouble = ""
        self._terminal = terminal
        self._watch = watch
        self._changes: deque[Seen] = deque(maxlen=max(1, terminal.out.height - _LINES_BELOW))

    def add(self, seen: Seen) -> None:
        self.trouble = ""
        self.count += (seen.kind == "added") - (seen.kind == "removed")
        self._changes.append(seen)

    def __rich__(self) -> Group:
        age = self._watch.stale_for
        caption = Text("reading the list", style="dim")
        if age is not None:
            caption = Text(f"{count(self.count, 'deployment')}, seen {_since(age)} ago")
        if self.trouble:
            caption = plain(f"{caption}; {self.trouble}", "red")
        changes = tuple(self._changes)
        return Group(*([table_of(_COLUMNS, changes, self._terminal.out.width)] if changes else []), caption)


def _line(seen: Seen) -> str:
    what = ",".join(
        f"{name}={_word(getattr(seen.before, name))}>{_word(getattr(seen.deployment, name))}".rstrip("=>")
        for name in seen.fields
    )
    return "\t".join(map(field_text, (seen.kind, seen.deployment.id, seen.deployment.label, what)))
