"""Scoring code: real archives, drawn from what they are for."""

from __future__ import annotations

import io
import random
import zipfile

_MANIFEST = "Manifest-Version: 1.0\nMain-Class: com.datarobot.prediction.Main\nBuilt-By: emulator\n"
_WHEN = (2024, 1, 1, 0, 0, 0)


def build_archive(name: str, *, options: frozenset[str], size: int) -> bytes:
    """Return a JAR of about `size` bytes, the same one every time for the same arguments."""
    packed = io.BytesIO()
    payload = random.Random(f"{name} {sorted(options)}").randbytes(size)  # noqa: S311 - test data, not a secret
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", _WHEN), _MANIFEST)
        for option in sorted(options):
            archive.writestr(zipfile.ZipInfo(f"com/datarobot/options/{option}", _WHEN), "true\n")
        archive.writestr(zipfile.ZipInfo("com/datarobot/prediction/model.bin", _WHEN), payload)
    return packed.getvalue()
