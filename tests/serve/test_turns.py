"""Clients take turns."""

import asyncio

from derain.serve.turns import Turns


def filled():
    turns = Turns()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        turns.put(item[0], item)
    return turns


def test_a_client_with_many_images_waits_for_those_with_few():
    turns = filled()
    expected = ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert turns.order() == expected

    async def take():
        return [await turns.next() for _ in expected]

    assert asyncio.run(take()) == expected
    assert len(turns) == 0


def test_who_comes_back_has_no_turn_before_the_others():
    turns = filled()

    async def take():
        first = await turns.next()
        turns.put("d", "d1")
        turns.put("a", "a4")
        return first, turns.order()

    first, order = asyncio.run(take())
    assert first == "a1"
    assert order == ["b1", "c1", "a2", "d1", "c2", "a3", "a4"]


def test_what_is_taken_back_comes_first_and_what_is_removed_never():
    turns = filled()
    turns.put("a", "a0", first=True)
    assert turns.remove("b", "b1")
    assert not turns.remove("b", "b1")
    assert not turns.remove("x", "x1")
    assert turns.order() == ["a0", "c1", "a1", "c2", "a2", "a3"]


def test_an_empty_queue_waits():
    async def main():
        turns = Turns()
        waiting = asyncio.create_task(turns.next())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        turns.put("a", "a1")
        return await waiting

    assert asyncio.run(main()) == "a1"
