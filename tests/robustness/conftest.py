"""A canary that code from a file would leave behind, and a listener that an address would reach."""

import http.server
import os
import pickle
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return (os.mkdir, (self.folder,))


@dataclass
class Trap:
    """What an attack may touch.

    Attributes:
        folder: Exists once code from a file has run.
        payload: A pickle that makes the folder.
        port: Of a listener on the loopback, which answers every request with the payload.
        requests: What it was asked for.
        connections: All addresses that this process connected to.
    """

    folder: Path
    payload: Path
    port: int
    requests: list[str] = field(default_factory=list)
    connections: list[object] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f'http://127.0.0.1:{self.port}/{name}'

    def assert_untouched(self) -> None:
        assert not self.folder.exists(), 'code from the file has run'
        assert not self.requests and not self.connections, 'an address in the file was asked'


@pytest.fixture
def trap(tmp_path, monkeypatch):
    made = Trap(tmp_path / 'CANARY', tmp_path / 'payload.pkl', 0)
    made.payload.write_bytes(pickle.dumps(Canary(made.folder)))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            made.requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(made.payload.read_bytes())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
    thread.start()
    connect = socket.socket.connect

    def count(self, address):
        made.connections.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, 'connect', count)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch_home'))
    yield made
    server.shutdown()
    server.server_close()
    thread.join()
