"""Entry point of `python -m datarobot_mlops_async.emulator`."""

from __future__ import annotations

import sys

from ._command import main

if __name__ == "__main__":
    sys.exit(main())
