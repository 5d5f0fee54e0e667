"""Entry point of `python -m datarobot_mlops_async.emulator`."""

from __future__ import annotations

import sys

from ._command import main

sys.exit(main())
