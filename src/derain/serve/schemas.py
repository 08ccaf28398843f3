"""The JSON that the API answers with."""

from typing import Any

from pydantic import BaseModel


class Model(BaseModel):
    """A network that clients may name."""

    name: str
    about: str
    parameters: int
    licence: str
    trained_on: str


class Models(BaseModel):
    """What the server can do."""

    default: str
    models: list[Model]
    limits: dict[str, int]
    clip_limits: dict[str, float]
    formats: dict[str, list[str]]
    video: bool


class Accepted(BaseModel):
    """A job that waits."""

    id: str
    events: str
    result: str
    position: int


class JobState(BaseModel):
    """How far a job is: its state, and its last event with what that says."""

    id: str
    state: str
    event: str
    data: dict[str, Any]
