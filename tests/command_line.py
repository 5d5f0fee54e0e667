"""Ways to run ``dr-mlops``: in this process, as a program, and in a terminal."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from attrs import frozen

from datarobot_mlops_async.cli._app import run

PROGRAM = [sys.executable, "-m", "datarobot_mlops_async"]
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()].|\r")
_PATIENCE = 30.0


def screen(raw):
    """Return what stands on a terminal after all of this was written to it, erased lines gone."""
    lines, row, column = [""], 0, 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\n|\r)", raw):
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row == len(lines))
        elif part == "\r":
            column = 0
        elif match := re.fullmatch(r"\x1b\[(\d*)A", part):
            row = max(0, row - int(match[1] or 1))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part and not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return "\n".join(line.rstrip() for line in lines)


@frozen
class Ran:
    """What a run left: its exit code and both streams, without and with what steers a terminal."""

    code: int
    out: str
    err: str
    raw: str = ""

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        """The one line of an error."""
        line, *more = self.err.splitlines()
        assert not more, self.err
        return line


class Here:
    """Runs command lines in this process.

    Args:
        capfd: pytest's capture.
        monkeypatch: pytest's, to replace stdin and to pretend that stdout and stderr are a terminal.
    """

    def __init__(self, capfd, monkeypatch):
        self._capfd = capfd
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments, stdin=None, terminal=False, columns=100, term="xterm", binary=False):
        with self._monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", _Keyboard(stdin) if terminal else io.StringIO(stdin or ""))
            if terminal:
                patched.setenv("COLUMNS", str(columns))
                patched.setenv("TERM", term)
                patched.setattr(sys.stdout, "isatty", lambda: True)
                patched.setattr(sys.stderr, "isatty", lambda: True)
            code = run([str(each) for each in arguments])
        if binary:
            # pytest's own stdout gives its bytes back only as text.
            sys.stdout.buffer.flush()
        out, err = self._capfd.readouterr()
        assert "Traceback" not in err
        if terminal:
            return Ran(code, _ESCAPE.sub("", out), screen(err), out + err)
        return Ran(code, _ESCAPE.sub("", out), _ESCAPE.sub("", err), out + err)


class _Keyboard(io.StringIO):
    def isatty(self):
        return True

    def readline(self):
        # A terminal shows what is typed.
        line = super().readline()
        sys.stderr.write(line)
        return line


def there(*arguments, stdin="", stdout=subprocess.PIPE, cwd=None, **environment):
    """Run a command line as a program whose streams are pipes, or whose stdout is a file."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        cwd=cwd,
        timeout=_PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout or "", done.stderr)


class Terminal:
    """A program in a terminal of its own; everything that it draws is kept."""

    def __init__(self, *arguments, columns=100, program=PROGRAM, **environment):
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        os.set_blocking(leader, False)
        self._leader = leader
        self._process = subprocess.Popen(
            [*program, *map(str, arguments)],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            # Whoever runs the tests may have a width of his own in the environment, and that one would count.
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment},
            start_new_session=True,
        )
        os.close(follower)
        self.raw = ""

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._leader)

    @property
    def text(self):
        """What was drawn, frame after frame, without what moves the cursor and colours."""
        return _ESCAPE.sub("", self.raw.replace("\r", "\n"))

    @property
    def screen(self):
        """What stands there now."""
        return screen(self.raw)

    def wait_for(self, text):
        """Wait until it has drawn a text."""
        deadline = time.monotonic() + _PATIENCE
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            if not self._read():
                assert text in self.text, self.text

    def interrupt(self):
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def finish(self):
        """Wait for its end and return the exit code."""
        deadline = time.monotonic() + _PATIENCE
        while self._read():
            assert time.monotonic() < deadline, self.text
        return self._process.wait(_PATIENCE)

    def _read(self):
        """Take what there is; ``False`` when nothing will come any more."""
        select.select([self._leader], [], [], 0.2)
        try:
            chunk = os.read(self._leader, 65536)
        except BlockingIOError:
            return self._process.poll() is None
        except OSError:
            return False
        self.raw += chunk.decode("utf-8", "replace")
        return bool(chunk)
