"""A store in another process, and a network to it that fails when told to, for tests of uploads."""

from __future__ import annotations

import itertools
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Give the port of a store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        moto = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert moto.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield port
    finally:
        moto.kill()
        moto.wait()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_environment(monkeypatch, tmp_path)


def set_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Set credentials that any store takes, and nothing else of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)


class Store:
    """A bucket of its own for each test."""

    def __init__(self, port: int) -> None:
        """Make a bucket in the store at this port."""
        self.port = port
        self.bucket = f"bucket-{next(_numbers)}"
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        self.client.create_bucket(Bucket=self.bucket)

    def keys(self) -> list[str]:
        """List the objects."""
        listed = self.client.list_objects_v2(Bucket=self.bucket)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def unfinished(self) -> list[str]:
        """List the ids of multipart uploads that were neither completed nor aborted."""
        listed = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [entry["UploadId"] for entry in listed.get("Uploads", [])]

    def content(self, key: str) -> bytes:
        """Read an object."""
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def contents(self) -> dict[str, bytes]:
        """Read all objects."""
        return {key: self.content(key) for key in self.keys()}

    def keep_versions(self) -> None:
        """Give objects versions from now on."""
        self.client.put_bucket_versioning(
            Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}
        )

    def versions(self) -> dict[str, Any]:
        """Tell objects that were written again from those that were not."""
        listed = self.client.list_object_versions(Bucket=self.bucket)
        entries = listed["Versions"]
        return {entry["Key"]: entry["VersionId"] for entry in entries if entry["IsLatest"]}


@pytest.fixture
def store(server: int, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server}")
    return Store(server)


class Network:
    """Passes connections on, until it is told otherwise."""

    def __init__(self, port: int) -> None:
        """Lead to a store at this port."""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        #: Bytes that all clients have sent.
        self.sent = 0
        #: After so many of them the connection is reset, once; or, and all others, for good.
        self.cut_at: int | None = None
        self.for_good = False
        #: Seconds from then on in which all connections are reset.
        self.outage = 0.0
        self._back_at = 0.0
        #: Of so many pieces of large answers, one is cut short; in an orderly way, or reset.
        self.cut_every: int | None = None
        self.orderly = False
        self._pieces = 0
        #: After so many of them nothing moves any more.
        self.stall_at: int | None = None
        #: Seconds that each 64 KiB take.
        self.pause = 0.0
        #: Whether the store knows no other checksum than MD5.
        self.old = False
        #: What the next occurrence of the first is replaced by.
        self.damage: tuple[bytes, bytes] | None = None
        self.cuts = 0
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self.connections += 1
            if (self.for_good and self.cuts) or time.monotonic() < self._back_at:
                reset(client)
                continue
            store = socket.create_connection(("127.0.0.1", self._port))
            for pump in (self._up, self._down):
                threading.Thread(target=pump, args=(client, store), daemon=True).start()

    def _up(self, client: socket.socket, store: socket.socket) -> None:
        try:
            while data := client.recv(1 << 16):
                self.sent += len(data)
                time.sleep(self.pause)
                while self.stall_at is not None and self.sent > self.stall_at:
                    time.sleep(0.05)
                if self.old and re.search(rb"(?i)x-amz-(checksum|trailer|sdk-checksum)", data):
                    refusal = b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>"
                    length = b"Content-Length: %d\r\n\r\n" % len(refusal)
                    client.sendall(b"HTTP/1.1 501 Not Implemented\r\n" + length + refusal)
                    break
                if self.damage and self.damage[0] in data:
                    data, self.damage = data.replace(*self.damage, 1), None
                over = self.cut_at is not None and self.sent > self.cut_at
                if over and not self.cuts:
                    self._back_at = time.monotonic() + self.outage
                out = time.monotonic() < self._back_at
                if over and (self.for_good or out or not self.cuts):
                    self.cuts += 1
                    reset(client)
                    break
                store.sendall(data)
        except OSError:
            pass  # The other pump's end has closed it.
        store.close()

    def _down(self, client: socket.socket, store: socket.socket) -> None:
        try:
            while data := store.recv(1 << 16):
                if self.cut_every and len(data) > 1000:
                    self._pieces += 1
                    if self._pieces % self.cut_every == 0:
                        self.cuts += 1
                        client.sendall(data[:-100])
                        if self.orderly:
                            client.shutdown(socket.SHUT_WR)
                        else:
                            reset(client)
                        break
                client.sendall(data)
            client.close()
        except OSError:
            pass


def reset(connection: socket.socket) -> None:
    """Close a connection as a broken one is."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


@pytest.fixture
def network(store: Store, monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network(store.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{network.port}")
    return network
