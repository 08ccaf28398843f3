"""The application: the API behind its guard, and every error as a problem document."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from derain import __version__
from derain.serve.api import Site, router
from derain.serve.guard import Guard, Keys, Names
from derain.serve.problems import Problem

ABOUT = (
    "Removes rain from photographs, on this machine. An image goes in as the body of a POST, raw "
    "or as the field file of a form, and comes back in the same format and size, with its EXIF, "
    "colour profile, transparency and 16 bits."
)

log = logging.getLogger(__name__)


def create_app(site: Site, names: Names, keys: Keys | None) -> Guard:
    """The application behind its guard.

    Args:
        site: What the API has to offer.
        names: The names under which the server answers.
        keys: The token, if there is one.
    """
    app = FastAPI(
        title="derain", version=__version__, description=ABOUT, docs_url=None, redoc_url=None
    )
    app.state.site = site
    app.include_router(router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)
    service = site.service
    return Guard(app, names, keys, service.limits.head_bytes, service.metrics)


def _problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return Problem("bad-option", f"{first['loc'][-1]}: {first['msg']}.").response()


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "wrong-method"}.get(error.status_code, "bad-request")
    return Problem(kind, "See /docs for what there is.", dict(error.headers or {})).response()


def _internal(request: Request, error: Exception) -> JSONResponse:
    log.error("%s failed", request.method, exc_info=error)
    return Problem("internal", "Its log says more.").response()
