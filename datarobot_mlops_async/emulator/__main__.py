"""Entry point of `python -m datarobot_mlops_async.emulator`."""

from __future__ import annotations

import sys

try:
    from ._command import command
except ModuleNotFoundError as error:
    sys.exit(f"the emulator's command line needs {error.name}: pip install 'datarobot-mlops-async[emulator]'")

command(prog_name="python -m datarobot_mlops_async.emulator")
