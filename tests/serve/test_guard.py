"""Who may ask: names, origins, tokens."""

import re

import httpx
import pytest

from derain.client import Client, ServerProblem
from derain.serve.guard import Keys, Names, is_loopback


@pytest.mark.parametrize(
    ("address", "host", "known"),
    [
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("127.0.0.1", "localhost:1", True),
        ("127.0.0.1", "LOCALHOST", True),
        ("127.0.0.1", "[::1]:8000", True),
        ("127.0.0.1", "192.168.1.5:8000", False),
        ("127.0.0.1", "rebound.example", False),
        ("127.0.0.1", "localhost.example", False),
        ("127.0.0.1", "127.0.0.1.example", False),
        ("127.0.0.1", "user@localhost.example", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "[::1", False),
        ("0.0.0.0", "192.168.1.5:8000", True),
        ("0.0.0.0", "rebound.example", False),
        ("0.0.0.0", "rain.home", True),
    ],
)
def test_a_server_answers_under_its_own_names_alone(address, host, known):
    assert Names(address, ("Rain.home",)).hold(host) is known


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False),
    ],
)  # fmt: skip
def test_which_addresses_need_a_token(address, local):
    assert is_loopback(address) is local


def test_a_link_works_once():
    keys = Keys("a long enough token")
    link = keys.login
    session = keys.use(link)
    assert session
    assert keys.use(link) is None
    assert keys.use(keys.login) == session
    assert "a long enough token" not in session


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "rebound.example"}, 421),
        ({"Host": "10.0.0.1"}, 421),
        ({"Origin": "http://rebound.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),  # a link
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"X-Forwarded-Host": "rebound.example", "X-Forwarded-For": "10.0.0.1"}, 200),
        ({}, 200),
    ],
)
def test_other_names_and_other_sites_are_refused(http, headers, status):
    assert http.get("/v1/models", headers=headers).status_code == status
    if "Sec-Fetch-Mode" in headers:
        assert http.post("/v1/restore", headers=headers, content=b"x").status_code == 403


def test_the_server_s_own_page_may_post(http, server):
    answer = http.post("/v1/jobs", headers={"Origin": server.address}, content=b"x")
    assert answer.status_code == 415  # by what reads images, behind the guard
    assert "access-control-allow-origin" not in answer.headers


def test_beyond_this_machine_nobody_comes_in_without_the_token(start):
    running = start("--host", "0.0.0.0")
    address = re.sub(r"//[^:]+:", "//127.0.0.1:", running.address)
    link = re.findall(r"(/login/\S+)", running.said[1])[0]
    token = re.findall(r"Bearer (\S+)", running.said[2])[0]
    for path in ("/", "/v1/models", "/metrics", "/docs", "/page/docs.css", "/login/", "/login/x"):
        answer = httpx.get(address + path)
        assert (answer.status_code, answer.json()["type"]) == (401, "/docs#no-token")
    for wrong in ("Bearer", "Bearer x", f"Bearer {token}x", f"Basic {token}"):
        assert httpx.get(f"{address}/", headers={"Authorization": wrong}).status_code == 401
    assert httpx.post(f"{address}/v1/jobs", content=b"x").status_code == 401
    assert httpx.get(f"{address}/healthz").status_code == 200
    with Client(address, token=token) as client:
        assert client.models()["default"]
    with Client(address, token="wrong") as client, pytest.raises(ServerProblem, match="token"):
        client.models()
    with httpx.Client(base_url=address) as browser:
        opened = browser.get(link)
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        assert {"HttpOnly", "SameSite=strict"} <= set(opened.headers["set-cookie"].split("; "))
        assert browser.get("/v1/models").status_code == 200
    assert httpx.get(address + link).status_code == 401  # somebody else, later


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--token", "short"], "at least 16 characters"),
        (["--token", "a" * 20, "--no-token"], "exclude each other"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1, port 0"),
        (["--model", "gone.onnx"], "gone.onnx: neither"),
        (["--max-bytes", "lots"], "such as 2GB"),
        (["--device", "gpu"], "known: auto, cpu"),
    ],
)
def test_each_mistake_is_one_line(derain, options, words):
    code, _, err = derain("serve", "--port", 0, "--no-open", *options)
    assert code == 1
    assert words in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")


def test_a_port_in_use_is_said(derain, server):
    port = server.address.rpartition(":")[2]
    code, _, err = derain("serve", "--port", port, "--no-open")
    assert code == 1
    assert err == (
        f"error: cannot listen on 127.0.0.1, port {port}: Address already in use; "
        "choose another --port, or 0 for any\n"
    )
