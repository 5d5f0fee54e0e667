"""A progress bar in one argument: ``on_progress=progress_bar()``."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, ClassVar, Protocol

from datarobot_mlops_async._progress.words import LogLines, describe

if TYPE_CHECKING:
    from datarobot_mlops_async._progress.rich_bars import RichBars
    from datarobot_mlops_async.artifacts import Progress

__all__ = ["ProgressBar", "progress_bar"]


class _View(Protocol):
    def show(self, progress: Progress, /) -> None: ...

    def close(self) -> None: ...


class ProgressBar:
    """What `progress_bar` returns: call it with each `Progress` of one download at a time."""

    def __init__(self, title: str = "") -> None:
        self._title = title
        self._view: _View | None = None

    def __call__(self, progress: Progress) -> None:
        """Show how far the download is."""
        # A terminal that is gone is no reason to end a download.
        with suppress(OSError):
            if self._view is None:
                self._view = _view(self._title)
            self._view.show(progress)

    def close(self) -> None:
        """Leave the bar as it stands. A download does this when it is over, however it ended."""
        if self._view is not None:
            view, self._view = self._view, None
            with suppress(OSError):
                view.close()


def progress_bar(title: str = "") -> ProgressBar:
    """Show how far a download is, on stderr: a bar by rich or tqdm, whichever is installed.

    ::

        await artifact.download("images/", on_progress=progress_bar())

    Without either it is one line, drawn again and again; in a file or a pipe a line every 10 seconds; in a
    notebook a widget where ``ipywidgets`` is installed. It appears with the download's first report and is left
    standing when the download is over, however it ended. Each of several downloads at the same time needs its own.

    Args:
        title: What stands before the bar, such as a file's name.
    """
    return ProgressBar(title)


def _view(title: str) -> _View:
    in_notebook = "ipykernel" in sys.modules
    if sys.stderr is None or not (in_notebook or (sys.stderr.isatty() and os.environ.get("TERM") != "dumb")):
        return _Log(title)
    for kind in (_Tqdm, _Rich) if in_notebook else (_Rich, _Tqdm):
        with suppress(ImportError):
            return kind(title)
    return _Line(title)


class _Rich:
    # Several displays on one terminal would draw over each other.
    _shown: ClassVar[list[RichBars]] = []
    _lock = Lock()

    def __init__(self, title: str) -> None:
        if "ipykernel" in sys.modules:
            import_module("ipywidgets")
        console, progress = import_module("rich.console"), import_module("rich.progress")
        bars = import_module(f"{__name__}.rich_bars").RichBars
        with self._lock:
            if not self._shown:
                name = progress.TextColumn("{task.description}", markup=False)
                self._shown.append(bars(name, console=console.Console(stderr=True)))
            self._bars = self._shown[0]
            self._bars.start()
            self._bar = self._bars.add_bar(title)

    def show(self, progress: Progress) -> None:
        self._bars.draw_progress(self._bar, progress)

    def close(self) -> None:
        with self._lock:
            if not self._bars.leave_bar(self._bar):
                self._shown.clear()


class _Tqdm:
    def __init__(self, title: str) -> None:
        with warnings.catch_warnings():
            # A notebook without widgets gets a line of text, and needs no advice.
            warnings.simplefilter("ignore")
            tqdm = import_module("tqdm.auto").tqdm
        # Without a monitor it starts no thread.
        kind = type("Bar", (tqdm,), {"monitor_interval": 0})
        self._bar = kind(desc=title or None, unit="B", unit_scale=True, unit_divisor=1024, mininterval=0)

    def show(self, progress: Progress) -> None:
        if self._bar.total != progress.total:
            self._bar.reset(progress.total)
            self._bar.initial = progress.resumed_from
        self._bar.set_postfix_str("waiting for another process" if progress.is_waiting else "", refresh=False)
        self._bar.n = progress.verified
        self._bar.refresh()

    def close(self) -> None:
        if hasattr(self._bar, "container"):
            # A widget, which stands where it is.
            self._bar.close()
            return
        # Its own way to leave a bar draws over another one that is still drawn below.
        last, self._bar.leave = str(self._bar), False
        self._bar.close()
        self._bar.write(f"\r{last}", file=sys.stderr)


class _Line:
    def __init__(self, title: str) -> None:
        self._title = f"{title} " if title else ""
        self._line = ""

    def show(self, progress: Progress) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._line = f"\r{f'{self._title}{describe(progress)}'[:width].ljust(width)}"
        sys.stderr.write(self._line)
        sys.stderr.flush()

    def close(self) -> None:
        # Once more: others may have drawn here.
        sys.stderr.write(f"{self._line}\n")


class _Log:
    def __init__(self, title: str) -> None:
        self._title = f"{title}: " if title else ""
        self._lines = LogLines(self._write)
        self._last: Progress | None = None

    def show(self, progress: Progress) -> None:
        self._last = progress
        self._lines.show(progress)

    def close(self) -> None:
        if self._last is not None and not self._last.is_waiting:
            self._write(describe(self._last))

    def _write(self, line: str) -> None:
        if sys.stderr is not None:
            sys.stderr.write(f"{self._title}{line.strip()}\n")
