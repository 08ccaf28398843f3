"""Requests that mean no good; `python -m benchmarks.serve hostile` sends more of them."""

import httpx
from benchmarks.hostile_requests import RAW, hostile_request
from tests.serve.conftest import encoded


def test_hostile_requests_are_refused_one_by_one_and_life_goes_on(server):
    good = encoded()
    before = httpx.post(f"{server.address}/v1/restore", content=good, headers=RAW, timeout=60)
    kinds = set()
    for seed in range(60):
        kind, status = hostile_request(server.address, seed)
        kinds.add(kind)
        # A connection that brings no whole request is closed. Damage can leave an image whole.
        allowed = (0,) if kind == "bytes" else (200,) if "still an image" in kind else ()
        assert 400 <= status < 500 or status in allowed, (seed, kind, status)
    assert {"mutated", "bomb", "path", "host", "origin", "form", "bytes"} <= kinds
    assert server.process.poll() is None
    after = httpx.post(f"{server.address}/v1/restore", content=good, headers=RAW, timeout=60)
    assert after.content == before.content
