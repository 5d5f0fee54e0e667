"""The command line, ``dr-mlops``: arguments to session to terminal, and no rules of its own.

Results go to stdout; progress, warnings and errors go to stderr. Tables are for terminals: into a pipe the
same rows go as tab-separated lines without a heading, and ``--json`` or ``--jsonl`` are for machines.

The token is never an argument, because everyone on a machine can read everyone's command lines (``ps``):
it comes from the environment, from ``drconfig.yaml``, or with ``--token-file`` from a file or from stdin.

Exit codes:

====  ==================================================================================
0     Done.
1     The service refused or failed, or anything that has no code of its own.
2     The command line itself is wrong; nothing was sent.
3     Settings: none found, contradictory, or the token is refused (401, 403).
4     There is no such thing (404).
5     The service was not reached, or its answer did not arrive.
6     A long-running operation failed or was not over in time.
7     A download failed or could not be verified.
8     Some of several actions failed.
130   Interrupted (Ctrl-C); what can be resumed was kept.
141   The reader of our output went away (``| head``).
====  ==================================================================================
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["main"]


def main() -> None:
    """Run ``dr-mlops`` with the process's arguments and exit."""
    # A stream that was closed for us: its number must not become a socket's, and text for it goes nowhere.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the end
    if missing := [name for name in ("click", "rich") if find_spec(name) is None]:
        sys.stderr.write(
            f"dr-mlops needs {' and '.join(missing)}: pip install 'datarobot-mlops-async[cli]'\n"
        )
        raise SystemExit(1)
    # Only now: the check above must work without click and rich.
    from datarobot_mlops_async.cli._app import run

    raise SystemExit(run(sys.argv[1:]))
