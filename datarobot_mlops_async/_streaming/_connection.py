"""One connected socket, plain or under TLS, driven by one worker thread at a time.

A thread that holds no lock while the kernel or OpenSSL works reads with ``recv_into`` into buffers that are used
again. TLS goes through memory: an `ssl.SSLSocket` asks the kernel twice for each record of 16 KiB, here one call
brings sixteen records. And `Connection.interrupt`, which shuts the socket down from another thread, has nothing
to do with the TLS object then, which no two threads may touch.
"""

from __future__ import annotations

import builtins
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, cast

from datarobot_mlops_async._transport import handshake_failed, refused_certificate
from datarobot_mlops_async.errors import ReadError, TimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from datarobot_mlops_async._transport import Handshake
    from datarobot_mlops_async.errors import TransportError

_RECORDS = 256 * 1024
_HANDSHAKE = 64 * 1024


class Connection:
    """A connected socket. All but `interrupt` and `close` blocks: for worker threads.

    A read ends after ``read_timeout`` seconds of silence.
    """

    def __init__(self, sock: socket.socket, *, read_timeout: float) -> None:
        sock.settimeout(read_timeout)
        self._sock = sock
        self._read_timeout = read_timeout
        self._interrupted = False
        self._tls: ssl.SSLObject | None = None
        self._needs_records = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._records = memoryview(bytearray())

    def start_tls(self, context: ssl.SSLContext, hostname: str) -> None:
        """Shake hands.

        Raises:
            CertificateError: The server's certificate is not trusted, or is another host's.
            ConnectError: The handshake failed.
        """
        self._records = memoryview(bytearray(_HANDSHAKE))
        try:
            tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
            self._until_done(tls.do_handshake)
        except (OSError, ValueError) as error:
            raise handshake_failed(error, hostname) from error
        self._records = memoryview(bytearray(_RECORDS))
        self._tls = tls

    def open_tunnel(self, context: ssl.SSLContext, host: str, handshake: Handshake) -> None:
        """Put the connection under the TLS of the proxy that it leads to, and have that open a tunnel.

        Raises:
            CertificateError: The proxy's certificate is not trusted, or is another host's.
            ConnectError: The proxy refuses.
        """
        try:
            # Under the server's own TLS, if any: to that this is the socket.
            self._sock = under = context.wrap_socket(
                self._sock, server_hostname=host, do_handshake_on_connect=False
            )
            if self._interrupted:
                raise ReadError("the connection was dropped")
            under.do_handshake()
            while (out := handshake.out) is not None:
                under.sendall(out)
                handshake.feed(under.recv(_HANDSHAKE))
        except (OSError, ValueError) as error:
            raise handshake_failed(error, host) from error

    def send(self, data: bytes) -> None:
        """Send all bytes.

        Raises:
            ReadError: The connection broke, or `interrupt` was called.
        """
        try:
            if self._tls is not None:
                self._tls.write(data)
                data = self._outgoing.read()
            self._sock.sendall(data)
        except OSError as error:
            raise self._broken(error) from error

    def read_into(self, view: memoryview) -> int:
        """Read at least one byte; 0 at the end of the stream.

        Raises:
            ReadError: The connection broke, or `interrupt` was called.
            TimeoutError: Nothing came for the read timeout.
        """
        try:
            return self._sock.recv_into(view) if self._tls is None else self._decrypt(self._tls, view)
        except builtins.TimeoutError as error:
            raise TimeoutError(f"no bytes for {self._read_timeout:g} s") from error
        except OSError as error:
            raise self._broken(error) from error

    def interrupt(self) -> None:
        """Make a thread that is blocked here return at once. Safe in any thread, any time."""
        self._interrupted = True
        with contextlib.suppress(OSError):
            # Not the method of a socket under TLS, which would take the TLS object from under the thread.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def is_stale(self) -> bool:
        """Tell whether an idle connection cannot be used again: closed, or the server said something unasked."""
        if self._interrupted:
            return True
        try:
            self._sock.setblocking(False)
            # Under TLS a session ticket may wait, which is taken in here; behind it nothing may.
            return self.read_into(memoryview(bytearray(1))) >= 0
        except (ReadError, OSError) as error:
            return not isinstance(error.__cause__, (BlockingIOError, ssl.SSLWantReadError))
        finally:
            with contextlib.suppress(OSError):
                self._sock.settimeout(self._read_timeout)

    def close(self) -> None:
        self._sock.close()

    def _decrypt(self, tls: ssl.SSLObject, view: memoryview) -> int:
        """Take all records that are here, so that what a read costs in Python is shared by them."""
        read = cast("Callable[[int, memoryview], int]", tls.read)
        filled, size = 0, len(view)
        while True:
            try:
                if self._needs_records:
                    self._exchange_records()
                while filled < size:
                    count = read(size - filled, view[filled:])
                    if not count:
                        return filled
                    filled += count
            except ssl.SSLWantReadError:
                self._needs_records = True
                if not filled:
                    continue
            except ssl.SSLEOFError:
                # As a plain connection that ends: lengths and digests tell whether too early.
                pass
            return filled

    def _until_done(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self._exchange_records()
            else:
                self._sock.sendall(self._outgoing.read())
                return

    def _exchange_records(self) -> None:
        if self._outgoing.pending:
            self._sock.sendall(self._outgoing.read())
        count = self._sock.recv_into(self._records)
        if count:
            self._incoming.write(self._records[:count])
        else:
            self._incoming.write_eof()
        self._needs_records = False

    def _broken(self, error: OSError) -> TransportError:
        # With TLS 1.3 a server says only behind the handshake that it wants a certificate.
        return refused_certificate(error) or ReadError(f"the connection broke ({error})")
