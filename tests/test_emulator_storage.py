"""The emulator's image and the object storage it is fetched from."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import socket
import tarfile
import threading
from contextlib import closing
from types import MappingProxyType

import httpx
import pytest

from datarobot_mlops_async.emulator import Emulator

SIZE = 3_000_000
IMAGE = "mlops/portablePredictionServerImage/"


@pytest.fixture
def emulator():
    with Emulator(deployments=0, image_size=SIZE) as running:
        yield running


@pytest.fixture
def api(emulator):
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with httpx.Client(
        base_url=emulator.endpoint, headers=headers, verify=False, trust_env=False, timeout=10
    ) as client:
        yield client


@pytest.fixture
def storage():
    with httpx.Client(verify=False, trust_env=False, timeout=10) as client:
        yield client


def signed_url(api):
    answer = api.get(IMAGE)
    assert answer.status_code == 302
    return answer.headers["location"]


def exchange(emulator, request):
    """Send raw bytes to the storage and return everything that comes back."""
    with socket.create_connection(("127.0.0.1", emulator.storage_port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_image_is_what_its_metadata_says(emulator, api, storage):
    metadata = api.get(f"{IMAGE}metadata/").json()
    answer = storage.get(signed_url(api))
    assert answer.status_code == 200
    assert len(answer.content) == metadata["imageSize"] == SIZE
    assert hashlib.sha256(answer.content).hexdigest() == metadata["hash"]
    assert metadata["hashAlgorithm"] == "SHA256"
    assert answer.headers["content-disposition"] == f'attachment; filename="{metadata["filename"]}"'
    assert answer.headers["content-type"] == "application/gzip"
    assert signed_url(api).startswith(emulator.storage_endpoint)


def test_image_can_be_served_without_the_storage(emulator, api):
    emulator.image_redirect = None
    whole = api.get(IMAGE)
    assert hashlib.sha256(whole.content).hexdigest() == api.get(f"{IMAGE}metadata/").json()["hash"]
    part = api.get(IMAGE, headers={"Range": "bytes=10-19", "If-Range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert api.get(IMAGE, headers={"Range": f"bytes={SIZE}-"}).status_code == 416
    assert api.get(IMAGE, headers={"If-Match": '"other"'}).status_code == 412


@pytest.mark.parametrize("status", [301, 303, 307, 308])
def test_redirect_status_can_be_chosen(emulator, api, status):
    emulator.image_redirect = status
    assert api.get(IMAGE).status_code == status


def test_there_can_be_no_image():
    with Emulator(deployments=0, image_size=None) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(
            base_url=emulator.endpoint, headers=headers, verify=False, trust_env=False
        ) as client:
            for path in (IMAGE, f"{IMAGE}metadata/"):
                answer = client.get(path)
                assert answer.status_code == 404
                assert answer.json()["message"] == "No PPS images found in the system"
            emulator.prepare()
            emulator.replace_image(10)
            assert client.get(f"{IMAGE}metadata/").json()["imageSize"] == 10


def test_image_of_no_bytes_is_served(emulator, api, storage):
    emulator.replace_image(0)
    answer = storage.get(signed_url(api), headers={"Range": "bytes=0-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */0"
    assert storage.get(signed_url(api)).content == b""


@pytest.mark.parametrize(
    ("requested", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=2999990-", 2_999_990, SIZE),
        ("bytes=2999990-99999999", 2_999_990, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        ("bytes=-99999999", 0, SIZE),
    ],
)
def test_range_is_answered_exactly(api, storage, requested, start, stop):
    url = signed_url(api)
    whole = storage.get(url).content
    answer = storage.get(url, headers={"Range": requested})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(stop - start)
    assert answer.content == whole[start:stop]


@pytest.mark.parametrize("requested", ["bytes=3000000-", "bytes=99999999-99999999", "bytes=-0"])
def test_range_beyond_the_end_cannot_be_satisfied(api, storage, requested):
    answer = storage.get(signed_url(api), headers={"Range": requested})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert b"<Code>InvalidRange</Code>" in answer.content


@pytest.mark.parametrize(
    "requested", ["bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=x-y", "bytes=9-3", "bytes"]
)
def test_range_that_is_not_a_single_one_is_ignored(api, storage, requested):
    assert storage.get(signed_url(api), headers={"Range": requested}).status_code == 200


def test_conditions_are_compared_with_the_strong_etag(api, storage):
    url = signed_url(api)
    head = storage.get(url, headers={"Range": "bytes=0-0"}).headers
    assert head["etag"].startswith('"')
    assert head["accept-ranges"] == "bytes"
    for validator, status in ((head["etag"], 206), (head["last-modified"], 206), ('"other"', 200)):
        answer = storage.get(url, headers={"Range": "bytes=0-0", "If-Range": validator})
        assert answer.status_code == status
    for condition, status in (
        (head["etag"], 200),
        (f'"a", {head["etag"]}', 200),
        ("*", 200),
        ('"other"', 412),
    ):
        assert storage.get(url, headers={"If-Match": condition}).status_code == status


def test_token_together_with_a_signature_is_refused(emulator, api, storage):
    answer = storage.get(signed_url(api), headers={"Authorization": f"Bearer {emulator.token}"})
    assert answer.status_code == 400
    assert b"Only one auth mechanism allowed" in answer.content
    (record,) = emulator.requests_to("GET storage")
    assert record.authorization == f"Bearer {emulator.token}"
    assert (record.origin, record.status) == ("storage", 400)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "OPTIONS"])
def test_url_signed_for_get_opens_nothing_else(api, storage, method):
    answer = storage.request(method, signed_url(api))
    assert answer.status_code == 403
    assert (method == "HEAD") == (answer.content == b"")


def test_url_that_is_not_signed_or_re_encoded_is_refused(emulator, api, storage):
    url = signed_url(api)
    path = url.partition("?")[0]
    assert storage.get(path).status_code == 403
    for changed in (
        url.replace("%2F", "%2f"),
        url.replace("%20", "+"),
        url + "&x=1",
        url.replace("r0", "r1"),
    ):
        request = f"GET {changed.removeprefix(emulator.storage_endpoint)} HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = exchange(emulator, request.encode())
        assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert b"SignatureDoesNotMatch" in answer


def test_signature_expires_with_time_and_on_request(emulator, api, storage):
    url = signed_url(api)
    assert storage.get(url, headers={"Range": "bytes=0-0"}).status_code == 206
    emulator.expire_signatures()
    answer = storage.get(url)
    assert answer.status_code == 403
    assert b"Request has expired" in answer.content
    assert storage.get(signed_url(api)).status_code == 200
    emulator.signature_seconds = 0
    assert storage.get(signed_url(api)).status_code == 403
    emulator.signature_seconds = float("inf")
    assert storage.get(signed_url(api)).status_code == 200


def test_object_that_is_not_there_is_not_found(emulator, api, storage):
    emulator.add_file("gone", b"x")
    location = api.get("files/gone").headers["location"]
    emulator.reset()
    answer = storage.get(location)
    assert answer.status_code == 404
    assert b"NoSuchKey" in answer.content


def test_latest_can_move_while_old_urls_go_on(emulator, api, storage):
    old_url, old = signed_url(api), api.get(f"{IMAGE}metadata/").json()
    emulator.replace_image()
    new = api.get(f"{IMAGE}metadata/").json()
    assert new["hash"] != old["hash"]
    assert new["filename"] != old["filename"]
    assert new["imageSize"] == SIZE
    assert hashlib.sha256(storage.get(old_url).content).hexdigest() == old["hash"]
    assert hashlib.sha256(storage.get(signed_url(api)).content).hexdigest() == new["hash"]


def test_latest_can_be_overwritten_in_place(emulator, api, storage):
    url = signed_url(api)
    before = storage.get(url, headers={"Range": "bytes=0-0"}).headers
    emulator.replace_image(100, seed=7, in_place=True)
    after = storage.get(url)
    assert after.headers["etag"] != before["etag"]
    assert hashlib.sha256(after.content).hexdigest() == api.get(f"{IMAGE}metadata/").json()["hash"]


def test_rate_can_be_limited_on_each_connection(emulator, api, storage):
    emulator.replace_image(100_000)
    url = signed_url(api)
    emulator.storage_rate = 1_000_000
    started = emulator.requests[-1].answered_at
    assert len(storage.get(url).content) == 100_000
    api.get("version/")
    assert emulator.requests[-1].started_at - started >= 0.09


def test_connection_is_kept_and_closed_as_asked(emulator, api):
    target = signed_url(api).removeprefix(emulator.storage_endpoint)
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-3\r\n\r\n".encode()
    assert exchange(emulator, request * 3).count(b"HTTP/1.1 206 ") == 3
    closing_request = request.replace(b"Host: x", b"Connection: close")
    assert exchange(emulator, closing_request + request).count(b"HTTP/1.1 ") == 1
    assert exchange(emulator, request.replace(b"HTTP/1.1", b"HTTP/1.0") * 2).count(b"HTTP/1.1 ") == 1
    with_body = request.replace(b"Host: x", b"Content-Length: 3") + b"abc"
    assert exchange(emulator, with_body + request).count(b"HTTP/1.1 206") == 2


@pytest.mark.parametrize(
    "garbage", [b"", b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"x" * 70_000, b"GET / HTTP/2.0\r\n\r\n"]
)
def test_garbage_is_refused_and_closes_the_connection(emulator, garbage):
    assert exchange(emulator, garbage).startswith(b"HTTP/1.1 400 Bad Request\r\n") is not (garbage == b"")


def test_client_that_speaks_tls_to_a_plain_port_is_told_at_once(emulator):
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01")  # it goes on only when it is answered
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_client_that_leaves_in_the_middle_disturbs_nobody(emulator, api, storage):
    emulator.replace_image(2**26)
    target = signed_url(api).removeprefix(emulator.storage_endpoint)
    with closing(socket.create_connection(("127.0.0.1", emulator.storage_port))) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.recv(65_536)
    assert storage.get(signed_url(api), headers={"Range": "bytes=67108863-"}).status_code == 206


def test_client_that_leaves_a_direct_transfer_disturbs_nobody(emulator, api, capfd):
    emulator.replace_image(2**40)
    emulator.image_redirect = None
    with api.stream("GET", IMAGE) as answer:
        next(answer.iter_raw())
    assert api.get("version/").status_code == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("route", [IMAGE, f"{IMAGE}metadata/"])
def test_stopping_in_the_middle_of_an_answer_is_quiet(emulator, api, capfd, route):
    emulator.replace_image(2**40)
    emulator.image_redirect = None
    asked = threading.Event()

    def ask():
        with pytest.raises(httpx.TransportError), api.stream("GET", route) as answer:
            for _ in answer.iter_raw():
                asked.set()

    asking = threading.Thread(target=ask)
    asking.start()
    asked.wait(0.2)
    emulator.stop()
    asking.join()
    assert capfd.readouterr() == ("", "")


def test_stopping_cuts_a_transfer():
    with Emulator(deployments=0, image_size=2**34) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(verify=False, trust_env=False) as client:
            url = client.get(f"{emulator.endpoint}/{IMAGE}", headers=headers).headers["location"]
            with client.stream("GET", url) as answer:
                emulator.stop()
                with pytest.raises(httpx.TransportError):
                    list(answer.iter_raw())


@pytest.mark.parametrize("size", [0, 1, 5631, 6000, 70_000, 5_000_000])
def test_content_is_the_same_wherever_it_is_read(emulator, api, storage, size):
    emulator.replace_image(size, seed=3)
    url, metadata = signed_url(api), api.get(f"{IMAGE}metadata/").json()
    whole = storage.get(url).content
    assert len(whole) == size
    assert hashlib.sha256(whole).hexdigest() == metadata["hash"]
    for start, stop in (
        (0, 1),
        (3_997_930, 3_997_950),
        (1_048_575, 4_999_999),
        (size - 1, size),
        (size - 4100, size - 4000),
    ):
        if 0 <= start < stop <= size:
            part = storage.get(url, headers={"Range": f"bytes={start}-{stop - 1}"})
            assert part.content == whole[start:stop]
    with Emulator(deployments=0, image_size=size, seed=4) as other:
        headers = {"Authorization": f"Bearer {other.token}"}
        assert (
            size < 9
            or api.get(f"{other.endpoint}/{IMAGE}", headers=headers, follow_redirects=True).content != whole
        )


@pytest.mark.parametrize("size", [5632, 5661, 6001, 100_003, 5_000_000])
def test_image_is_an_archive_of_docker_save(emulator, api, size):
    emulator.replace_image(size, seed=size)
    metadata = api.get(f"{IMAGE}metadata/").json()
    content = api.get(IMAGE, follow_redirects=True).content
    gzip.decompress(content)  # it compares checksum and length
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        [entry] = json.load(archive.extractfile("manifest.json"))
        config = archive.extractfile(entry["Config"]).read()
        [layer] = [archive.extractfile(name).read() for name in entry["Layers"]]
    assert metadata["dockerImageId"] == f"sha256:{hashlib.sha256(config).hexdigest()}"
    assert metadata["shortDockerImageId"] == metadata["dockerImageId"][7:19]
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert files.getnames() == ["opt/datarobot/model.bin"]


def test_image_of_fourteen_gibibytes_is_there_at_once(emulator, api, storage):
    emulator.replace_image(14 * 2**30)
    url, piece = signed_url(api), 8 * 2**20
    starts = [*range(piece, 14 * 2**30, 16 * piece)]
    parts = {storage.get(url, headers={"Range": f"bytes={start}-{start + 15}"}).content for start in starts}
    assert len(parts) == len(starts) > 100  # no two pieces are alike


def test_image_can_be_a_file(tmp_path, emulator, api):
    given = tmp_path / "mine.tar.gz"
    given.write_bytes(api.get(IMAGE, follow_redirects=True).content)
    plain = tmp_path / "plain"
    plain.write_bytes(b"no archive")
    (tmp_path / "empty").touch()
    for path, same in ((given, True), (plain, False), (tmp_path / "empty", False)):
        with Emulator(deployments=0, image_file=path) as other:
            url, headers = f"{other.endpoint}/{IMAGE}", {"Authorization": f"Bearer {other.token}"}
            metadata = api.get(f"{url}metadata/", headers=headers).json()
            content = api.get(url, headers=headers, follow_redirects=True).content
        assert content == path.read_bytes()
        assert (metadata["filename"], metadata["imageSize"]) == (path.name, len(content))
        assert metadata["hash"] == hashlib.sha256(content).hexdigest()
        assert (metadata["dockerImageId"] == api.get(f"{IMAGE}metadata/").json()["dockerImageId"]) is same


def test_files_of_ones_own_are_served(tmp_path, emulator, api, storage):
    path = tmp_path / "given"
    path.write_bytes(b"from a file")
    more = MappingProxyType({"x-more": "1"})
    digests = [
        emulator.add_file("a/b c", b"bytes"),
        emulator.add_file("path", path, direct=True, has_etag=False, extra_headers=more),
        emulator.add_file("drawn", 70_000, location=lambda url: f"{url}&x=1"),
    ]
    redirect = api.get("files/a%20b%20c".replace("a%20b", "a/b"))
    assert storage.get(redirect.headers["location"]).content == b"bytes"
    direct = api.get("files/path")
    assert (direct.content, direct.headers["x-more"], "etag" in direct.headers) == (
        b"from a file",
        "1",
        False,
    )
    assert api.get("files/drawn").headers["location"].endswith("&x=1")
    assert api.get("files/none").status_code == 404
    assert digests[0] == hashlib.sha256(b"bytes").hexdigest()
    assert emulator.bytes_sent == len(b"bytes") + len(b"from a file")
    assert len(api.get("files/a/b%20c", follow_redirects=True).content) == 5


def test_negative_size_is_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        Emulator(image_size=-1)


def test_emulator_can_be_prepared(emulator, api):
    emulator.prepare()
    assert len(api.get(f"{IMAGE}metadata/").json()["hash"]) == 64


def test_preparation_ends_quietly_when_the_emulator_stops():
    emulator = Emulator(deployments=3, image_size=2**40)
    emulator.start()
    preparing = threading.Thread(target=emulator.prepare)
    preparing.start()
    emulator.stop()
    preparing.join(10)
    assert not preparing.is_alive()


def test_metadata_request_that_waits_for_a_digest_does_not_hold_up_the_stop():
    with Emulator(deployments=0, image_size=2**40) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(
                f"{emulator.endpoint}/{IMAGE}metadata/",
                headers=headers,
                verify=False,
                trust_env=False,
                timeout=0.1,
            )
        assert (
            httpx.get(
                f"{emulator.endpoint}/version/", headers=headers, verify=False, trust_env=False
            ).status_code
            == 200
        )
