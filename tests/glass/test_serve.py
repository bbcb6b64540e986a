"""The live page's server: what it answers, to whom, and that it tells of changes."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time

import pytest

from retrograd.glass.serve import application, stamp

pytest.importorskip("starlette", reason="starlette is an extra")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is an extra")


def read(folder):
    return {"record": {"losses": json.loads((folder / "losses.json").read_text())}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "losses.json").write_text("[[0, 1.0]]")
    return tmp_path


class Answer:
    def __init__(self, response):
        self.status_code, self.headers = response.status, response.headers
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)


class Client:
    def __init__(self, port):
        self.port = port

    def ask(self, method, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True)
            for name, value in {"host": f"127.0.0.1:{self.port}", "content-length": "0", **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            if response.headers["content-type"].startswith("text/event-stream"):
                pytest.fail("an endless answer")
            return Answer(response)
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.ask("GET", path, headers)


@pytest.fixture
def client(folder):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(application(folder, read), log_level="error", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield Client(listener.getsockname()[1])
        server.should_exit = True
        thread.join(10)


def test_the_page_and_its_data(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert 'data-live="1"' in answer.text and "connect-src 'self'" in answer.headers["content-security-policy"]
    assert client.get("/data.json").json()["record"]["losses"] == [[0, 1.0]]


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "192.168.0.7"])
def test_other_names_of_the_machine_are_refused(client, host):
    assert client.get("/data.json", headers={"host": host}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://example.com"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/data.json", "/events"])
def test_other_sites_are_refused(client, headers, path):
    assert client.get(path, headers=headers).status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_it_only_reads(client, method):
    assert client.ask(method.upper(), "/data.json").status_code == 405


@pytest.mark.parametrize(
    "path", ["/../losses.json", "/%2e%2e/etc/passwd", "/losses.json", "//losses.json", "/data.json/x"]
)
def test_there_are_no_other_files(client, path):
    assert client.get(path).status_code == 404


def test_a_missing_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match="record a run first"):
        application(tmp_path / "none", read)


def test_changes_are_told(client, folder):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
    connection.request("GET", "/events")
    told, answer = [], connection.getresponse()
    while "changed" not in told:
        line = answer.readline().decode().strip()
        if line.startswith("event: "):
            told.append(line.removeprefix("event: "))
            if told[-1] == "hello":
                (folder / "losses.json").write_text("[[0, 1.0], [1, 0.5]]")
    connection.close()
    assert told == ["hello", "changed"]
    assert client.get("/data.json").json()["record"]["losses"][-1] == [1, 0.5]


def test_a_stamp_changes_with_the_files(folder):
    before = stamp(folder)
    (folder / "more.json").write_text("{}")
    assert stamp(folder) != before
