"""Sample data: deployments that look like a real fleet, and an image that `docker load` takes.

Each is varied by chance from the templates in `samples.json`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import re
import struct
import tarfile
import zlib
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ._http import encode
from ._objects import Content, FileContent, StoredObject, drawn_content, etag_of, whole

if TYPE_CHECKING:
    import threading

    from ._fleet import Row

Json = dict[str, Any]

SAMPLES: Json = json.loads(Path(__file__).with_name("samples.json").read_bytes())
MESSAGES: dict[str, str] = {health["status"]: health["message"] for _, health in SAMPLES["healths"]}
HEALTHS = ("serviceHealth", "modelHealth", "accuracyHealth")
# The image is members of gzip that repeat themselves, so that every byte's place is known without
# compressing anything, then what `docker load` wants.
_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_GZIP_WITH_EXTRA = b"\x1f\x8b\x08\4\0\0\0\0\0\xff"
_EMPTY = b"\3\0" + bytes(8)
# What one stored block of deflate can take, in whole blocks of tar, with room in an extra field's length
# for what is left over.
_STORED = 119 * 512
_MEMBER = _STORED + 23
# With a prime number of members, no two pieces of a download that start at multiples of one piece size
# are alike.
_MEMBERS = 61
# What the archive needs besides: less than this.
_SMALLEST = 4096
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"\{(\*?)(\w+)\}")


def seeded(seed: object) -> random.Random:
    """Return a generator of test data: the same seed is the same data, in every process."""
    return random.Random(str(seed))  # noqa: S311 - test data, not a secret


def seeded_by(purpose: str, drawn_id: str) -> random.Random:
    """Return a generator by the part of an id that is chance: its data is the same whenever the emulator runs."""
    return seeded(f"{purpose} {drawn_id[8:]}")


def object_id(drawn: random.Random, moment: datetime) -> str:
    """Draw an id in the form of the service's: seconds since 1970, then chance, in 24 hexadecimal digits."""
    return f"{int(moment.timestamp()):08x}{drawn.getrandbits(64):016x}"


def timestamp(moment: datetime, *, fraction: bool = False, offset: bool = False) -> str:
    """Word a moment. The service is not consistent about fractions and about `Z` against an offset."""
    text = moment.isoformat(timespec="microseconds" if fraction else "seconds")
    return text if offset else text.replace("+00:00", "Z")


def subject_of(label: str) -> Json:
    subjects: list[Json] = SAMPLES["subjects"]
    return next((subject for subject in subjects if label.startswith(subject["title"])), subjects[0])


class Sampler:
    """Fills templates: `{name}` in a text is a value given for it, else one of the samples of that name.

    A text that is only a name becomes the value as it is. What is drawn for a name stays the same for
    this sampler; `{*name}` is drawn anew. Samples are pairs of weight and sample where they are not
    equally likely, and may be templates. The templates in an object's `"+"` add to it.
    """

    def __init__(self, drawn: random.Random, moment: datetime, values: Json) -> None:
        self._drawn = drawn
        self._moment = moment
        self._values = values

    def fill(self, template: Any) -> Any:
        if isinstance(template, str):
            if "{" not in template:
                return template
            alone = _NAME.fullmatch(template)
            return self._value(alone) if alone else _NAME.sub(lambda name: str(self._value(name)), template)
        if isinstance(template, list):
            return [self.fill(each) for each in template]
        if not isinstance(template, dict):
            return template
        filled = {name: self.fill(each) for name, each in template.items() if name != "+"}
        for each in template.get("+", ()):
            filled |= self.fill(each)
        return filled

    def _value(self, found: re.Match[str]) -> Any:
        anew, name = found.groups()
        if not anew and name in self._values:
            return self._values[name]
        value = self._draw(name)
        return value if anew else self._values.setdefault(name, value)

    def _draw(self, name: str) -> Any:
        match name:
            case "id":
                return object_id(self._drawn, self._moment)
            case "hex":
                return f"{self._drawn.getrandbits(96):024x}"
            case "number":
                return self._drawn.randrange(1, 12)
        return self.fill(self._drawn.choice(_alternatives(name)))


def fill(template: str, **values: Any) -> Any:
    return Sampler(seeded(template), _EPOCH, values).fill(SAMPLES[template])


@cache
def _alternatives(name: str) -> list[Any]:
    """Return the samples of a name, each as often as it weighs."""
    samples: list[Any] = SAMPLES[name]
    is_weighed = isinstance(samples[0], list)
    return [sample for weight, sample in samples for _ in range(weight)] if is_weighed else samples


def draw_surroundings(seed: int, epoch: datetime) -> dict[str, list[Json]]:
    """Return what the deployments of one fleet share: its people, environments, servers and custom models.

    The first of the people is the one whose token the emulator accepts.
    """
    sampler = Sampler(seeded(f"surroundings {seed}"), epoch - timedelta(days=900), {})
    models = [sampler.fill(SAMPLES["customModel"]) for _ in range(9)]
    lists = ("people", "predictionEnvironments", "predictionServers")
    return {name: sampler.fill(SAMPLES[name]) for name in lists} | {"customModels": models}


def draw_deployment(seed: int, surroundings: dict[str, list[Json]], epoch: datetime, row: Row) -> Json:
    """Draw everything about a deployment that its row does not say."""
    drawn = random.Random(seed)  # noqa: S311 - test data, not a secret
    created, last_prediction = row.created, row.last_prediction
    subject = drawn.choice(SAMPLES["subjects"])
    today = epoch.replace(hour=0, minute=0)
    people, busy = surroundings["people"], 10 ** drawn.randrange(1, 6)
    preview = drawn.sample(people, drawn.choices((1, 2, 3), (6, 3, 1))[0])
    values = {name: drawn.choice(shared) for name, shared in surroundings.items()} | {
        "deployment_id": row.deployment_id,
        "title": subject["title"],
        "target": subject["model"],
        "intervals": subject["model"]["targetType"] == "Regression",
        "permissions": SAMPLES["ownerPermissions" if people[0] in preview else "userPermissions"],
        "owners": {"count": len(preview), "preview": preview},
        "rates": [drawn.randrange(busy) for _ in range(7)],
        "lastPrediction": last_prediction and timestamp(last_prediction, offset=True),
        "today": timestamp(today),
        "weekAgo": timestamp(today - timedelta(days=7)),
        "created": timestamp(created, fraction=True),
        "year": created.year,
        "deployed": timestamp(created + timedelta(minutes=4)),
        "downloaded": timestamp(created + timedelta(hours=5)),
    }
    body: Json = Sampler(drawn, created, values).fill(SAMPLES["deployment"])
    if drawn.random() < 0.02:  # the account of an owner has been deleted
        preview[0] = {"id": preview[0]["id"], "email": None, "firstName": None, "lastName": None}
    if last_prediction is None:
        body |= SAMPLES["neverPredictedWith"]
    del body["tags"][drawn.randrange(4) :]
    body["serviceHealth"] = {name: body["serviceHealth"][name] for name in ("status", "startDate", "endDate")}
    return body


def _stored(data: bytes) -> bytes:
    """Return a member of gzip that takes 23 bytes more than its data."""
    frame = struct.pack("<BHH", 1, len(data), len(data) ^ 0xFFFF)
    return _GZIP + frame + data + struct.pack("<LL", zlib.crc32(data), len(data))


@lru_cache(maxsize=4)
def _block(seed: int) -> memoryview:
    drawn = seeded(f"image {seed}")
    return memoryview(b"".join(_stored(drawn.randbytes(_STORED)) for _ in range(_MEMBERS)))


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@lru_cache(maxsize=32)
def _archive(size: int, seed: int) -> Content:
    """Return an archive of exactly this size; what is too small for one is bytes of chance."""
    if size < _SMALLEST:
        return drawn_content(size, seed)
    count = (size - _SMALLEST) // _MEMBER
    padding = tarfile.TarInfo("padding.bin")
    padding.size = count * _STORED
    image_id, files = _describe(seed)
    front = gzip.compress(padding.tobuf(tarfile.GNU_FORMAT), mtime=0)
    back = gzip.compress(_tar(files), mtime=0)
    spare = size - len(front) - count * _MEMBER - len(back) - len(_GZIP_WITH_EXTRA) - 6 - len(_EMPTY)
    extra = struct.pack("<H2sH", spare + 4, b"DR", spare) + seeded(seed).randbytes(spare)
    head = _GZIP_WITH_EXTRA + extra + _EMPTY + front
    return Content(
        size,
        etag_of(seed, size),
        lambda: (whole(head), (count * _MEMBER, _block(seed), _MEMBERS * _MEMBER), whole(back)),
        image_id,
    )


def _describe(seed: int) -> tuple[str, dict[str, bytes]]:
    """Return the image's id, and the files that make an archive this image."""
    layer = _tar({"opt/datarobot/model.bin": seeded(f"model {seed}").randbytes(64)})
    config = encode(fill("imageConfig", diff_id=f"sha256:{hashlib.sha256(layer).hexdigest()}"))
    image_id = hashlib.sha256(config).hexdigest()
    manifest = encode(fill("imageManifest", config=f"{image_id}.json", tag=f"r{seed}"))
    return image_id, {"layer.tar": layer, f"{image_id}.json": config, "manifest.json": manifest}


@frozen(kw_only=True)
class Image(StoredObject):
    """A release of the portable prediction server's Docker image."""

    content_type: str = "application/gzip"
    seed: int = 0
    release: int = 0

    @property
    def key(self) -> str:
        return f"/pps-images/{self.filename}"

    def metadata(self, stopping: threading.Event) -> Json:
        """Return what the metadata route answers. It takes seconds a GiB: call it in a thread."""
        sha256, image_id = self.content.sha256(stopping), self.content.image_id()
        return {
            "baseImageId": self.content.etag[1:13],
            "created": timestamp(self.modified),
            "datarobotRuntimeImageTag": f"11.{self.release}.0",
            "dockerImageId": f"sha256:{image_id}",
            "filename": self.filename,
            "hash": sha256,
            "hashAlgorithm": "SHA256",
            "imageSize": self.content.size,
            "shortDockerImageId": image_id[:12],
        }


def draw_image(size: int, seed: int, release: int, modified: datetime) -> Image:
    content, name = _archive(size, seed), f"datarobot-portable-prediction-api-11.{release}.0-r{seed}.tar.gz"
    return Image(content=content, filename=name, modified=modified, seed=seed, release=release)


class GivenArchive(FileContent):
    """Somebody's own image, from a file."""

    def image_id(self) -> str:
        """Return the digest of the configuration that the archive names; that of the file if it names none."""
        return _read_image_id(self.path, self.etag) or self.sha256()


@lru_cache(maxsize=32)
def _read_image_id(path: Path, _etag: str) -> str | None:
    try:
        with tarfile.open(path) as archive:
            manifest = json.load(archive.extractfile("manifest.json") or io.BytesIO())
            config = archive.extractfile(manifest[0]["Config"]) or io.BytesIO()
            return hashlib.sha256(config.read()).hexdigest()
    except (tarfile.TarError, LookupError, ValueError, TypeError, OSError, zlib.error):
        return None
