"""The API as programs use it, against a real server."""

import importlib.util
import io
import json
import re

import numpy as np
import pytest
from benchmarks.mutations import corpus
from PIL import Image
from tests.serve.conftest import encoded

from derain.client import Client, ServerProblem
from derain.serve.problems import KINDS
from derain.weights.catalog import list_models

RAW = {"Content-Type": "application/octet-stream"}


@pytest.mark.parametrize(
    ("name", "query", "options"),
    [
        ("extras.jpg", {}, []),
        ("deep_alpha.png", {"strength": "0.5"}, ["--strength", "0.5"]),
        ("extras.webp", {"format": "png"}, ["--format", "png"]),
        ("deep.tif", {"scales": "2,1"}, ["--scales", "2,1"]),
        ("grey.jpg", {"model": "mh2fnet-small"}, ["--model", "mh2fnet-small"]),
    ],
)
def test_every_way_in_gives_what_the_command_writes(derain, http, tmp_path, name, query, options):
    source, out = tmp_path / name, tmp_path / "out"
    source.write_bytes(corpus()[name])
    assert derain("restore", source, "-o", out, *options)[0] == 0
    (written,) = out.iterdir()
    raw = http.post("/v1/restore", params=query, content=source.read_bytes(), headers=RAW)
    form = http.post("/v1/restore", params=query, files={"file": source.open("rb")})
    job = http.post("/v1/jobs", params=query, files={"file": source.open("rb")})
    assert (job.status_code, job.headers["location"]) == (202, f"/v1/jobs/{job.json()['id']}")
    http.get(job.json()["events"])
    fetched = http.get(job.json()["result"])
    assert raw.content == form.content == fetched.content == written.read_bytes()
    assert f"{source.stem}_derained{written.suffix}" in fetched.headers["content-disposition"]
    assert fetched.headers["content-type"] == raw.headers["content-type"]


def test_the_python_client_returns_what_the_server_does(server, http):
    image = encoded(format="JPEG")
    direct = http.post("/v1/restore", params={"strength": 0.7}, content=image, headers=RAW)
    with Client(server.address) as client:
        assert client.restore(image, strength=0.7) == direct.content
        job = client.submit(image, strength=0.7)
        events = list(job.events())
        assert [event.name for event in events] == ["queued", "running", "done"]
        assert job.result() == direct.content
        job.cancel()
        with pytest.raises(ServerProblem) as gone:
            job.result()
        assert (gone.value.status, gone.value.kind) == (404, "not-found")
        with pytest.raises(ServerProblem, match="model must be one of nafnet-small"):
            client.restore(image, model="mspfn-light")
        assert client.models()["default"] == "nafnet-small"


def test_the_rain_layer_and_the_result_add_up_to_the_image(http):
    image = encoded()
    parts = [
        http.post("/v1/restore", params={"rain_layer": layer}, content=image, headers=RAW)
        for layer in ("false", "true")
    ]
    rainy, clean, rain = (
        np.asarray(Image.open(io.BytesIO(data)), int)
        for data in (image, *(part.content for part in parts))
    )
    darker = clean <= rainy
    assert darker.mean() > 0.2
    assert np.array_equal((clean + rain)[darker], rainy[darker])
    assert not rain[~darker].any()


def test_events_are_told_again_from_where_a_client_lost_them(http):
    job = http.post("/v1/jobs", content=encoded(), headers=RAW).json()
    whole = http.get(job["events"]).text
    names = re.findall(r"^event: (\w+)$", whole, re.MULTILINE)
    assert names == ["queued", "running", "done"]
    assert http.get(job["events"]).text == whole
    rest = http.get(job["events"], headers={"Last-Event-ID": "1"}).text
    assert whole.endswith(rest)
    assert rest.startswith("id: 2\nevent: done\n")
    done = json.loads(rest.partition("data: ")[2])
    state = http.get(f"/v1/jobs/{job['id']}").json()
    assert (state["state"], state["data"]) == ("done", done)
    result = http.get(job["result"])
    assert (done["width"], done["height"], done["bits"]) == (48, 40, 8)
    assert (done["format"], done["bytes"]) == ("PNG", len(result.content))
    assert (done["exif"], done["icc"], done["notes"]) == (False, False, [])
    assert result.headers["derain-rain-found"] == str(done["rain_found"]).lower()


def test_what_is_lost_in_another_format_is_said(http):
    options = {"format": "bmp"}
    image = corpus()["plain.jpg"]
    assert http.post("/v1/restore", params=options, content=image, headers=RAW).status_code == 200
    deep = http.post("/v1/jobs", params=options, content=corpus()["deep.png"], headers=RAW).json()
    assert "event: failed" in http.get(deep["events"]).text
    problem = http.get(deep["result"])
    assert problem.status_code == 422
    assert problem.json()["detail"] == "BMP cannot hold 16 bits; choose PNG or TIFF."


def test_the_list_of_models_says_what_can_be_sent(http):
    told = http.get("/v1/models").json()
    assert [model["name"] for model in told["models"]] == list_models()
    assert told["models"][0]["parameters"] > 2_000_000
    assert told["limits"] == {"bytes": 64_000_000, "pixels": 100_000_000, "jobs": 32}
    assert {"jpg", "png", "tif", "webp"} <= set(told["formats"]["read"])
    assert told["video"] is (importlib.util.find_spec("av") is not None)


@pytest.mark.parametrize(
    ("method", "path", "options", "kind"),
    [
        ("GET", "/nothing", {}, "not-found"),
        ("GET", "/page/../settings.py", {}, "not-found"),
        ("GET", "/page/%2e%2e/settings.py", {}, "not-found"),
        ("GET", "/page//etc/passwd", {}, "not-found"),
        ("GET", "/v1/jobs/guessed", {}, "not-found"),
        ("GET", "/v1/jobs/guessed/result", {}, "not-found"),
        ("GET", "/v1/restore", {}, "wrong-method"),
        ("POST", "/v1/restore", {"content": b"x"}, "not-an-image"),
        ("POST", "/v1/restore", {"content": b"x", "headers": RAW}, "not-an-image"),
        ("POST", "/v1/jobs", {"content": b"", "headers": RAW}, "not-an-image"),
        ("POST", "/v1/jobs", {"content": encoded()[:900], "headers": RAW}, "bad-image"),
        (
            "POST",
            "/v1/jobs",
            {"data": {"file": "no file"}, "files": {"other": b"x"}},
            "bad-request",
        ),
        ("POST", "/v1/restore?strength=2", {"content": b"x", "headers": RAW}, "bad-option"),
        ("POST", "/v1/restore?strength=nan", {"content": b"x", "headers": RAW}, "bad-option"),
        ("POST", "/v1/restore?format=exe", {"content": b"x", "headers": RAW}, "bad-option"),
        ("POST", "/v1/restore?scales=3", {"content": b"x", "headers": RAW}, "bad-option"),
        ("POST", "/v1/restore?model=/etc/passwd", {"content": b"x", "headers": RAW}, "bad-option"),
    ],
)
def test_each_mistake_is_a_problem_document(http, method, path, options, kind):
    response = http.request(method, path, **options)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert problem["type"] == f"/docs#{kind}"
    assert problem["status"] == response.status_code == KINDS[kind].status
    assert problem["detail"].endswith(".")


def test_every_answer_tells_browsers_to_load_nothing_from_elsewhere(http):
    for path in ("/", "/docs", "/example.jpg", "/openapi.json", "/metrics", "/healthz", "/gone"):
        headers = http.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_files_of_the_page_are_sent_once(http):
    page = http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    again = http.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert Image.open(io.BytesIO(http.get("/example.jpg").content)).format == "JPEG"


def test_the_documentation_names_all_and_needs_no_other_machine(http):
    page, schema = http.get("/docs").text, http.get("/openapi.json").json()
    for path in schema["paths"]:
        assert path in page
    for kind in KINDS:
        assert f'id="{kind}"' in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert http.get("/page/docs.css").headers["content-type"].startswith("text/css")


def test_numbers_for_prometheus(http):
    def count(text):
        return float(re.findall(r'derain_images_total{outcome="done"} (\S+)', text)[0])

    http.post("/v1/restore", content=encoded(), headers=RAW)
    before = count(http.get("/metrics").text)
    http.post("/v1/restore", content=encoded(), headers=RAW)
    text = http.get("/metrics").text
    assert count(text) == before + 1
    assert "derain_running_images 0.0" in text
    for method in ("BREW", "PROPFIND"):
        http.request(method, "/")
    assert "BREW" not in http.get("/metrics").text
