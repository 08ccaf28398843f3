"""The API: what clients can ask for. This file says what; other files do it."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from PIL import features

from derain.io.formats import FORMATS
from derain.serve import answers, pages
from derain.serve.clips import can_do_clips
from derain.serve.jobs import Client, JobOptions
from derain.serve.problems import Problem
from derain.serve.schemas import Accepted, JobState, Model, Models
from derain.serve.service import Service
from derain.serve.upload import receive

IMAGE: dict[str, Any] = {"requestBody": {"content": {"image/*": {}, "multipart/form-data": {}}}}
RESULT: dict[int | str, dict[str, Any]] = {200: {"content": {"image/*": {}}}}
FILE: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"image/*": {}, "video/*": {}}}
    for status, text in ((200, "all of it"), (206, "the part that was asked for"))
}
UPLOAD: dict[str, Any] = {
    "requestBody": {"content": {"image/*": {}, "video/*": {}, "multipart/form-data": {}}}
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {}}}
    for status, text in (
        (413, "too large"), (415, "no image"), (422, "damaged image or impossible option"),
        (429, "busy"), (503, "stopping"), (507, "disk full"),
    )
}  # fmt: skip

router = APIRouter()


@dataclass(frozen=True)
class Site:
    """What the API has to offer.

    Attributes:
        service: What does the work.
        models: The models that clients may name, the default first.
        files: The page.
    """

    service: Service
    models: list[Model]
    files: pages.Files


def site_of(request: Request) -> Site:
    """The site that a request is made to."""
    return request.app.state.site


def client_of(request: Request) -> Client:
    """Whose turn a request is."""
    address = request.client.host if request.client else ""
    return Client(address, request.headers.get("user-agent", "")[:200])


def options_of(
    request: Request,
    model: Annotated[
        str | None, Query(description="A name of /v1/models; the default one if not given.")
    ] = None,
    strength: Annotated[
        float,
        Query(ge=0, le=1.5, description="How much of the rain that was found is taken away."),
    ] = 1.0,
    format: Annotated[
        str | None,
        Query(description="Write this format, such as png; the image's own if not given."),
    ] = None,
    scales: Annotated[
        str, Query(description="Look for rain at these fractions of the size, such as 4,2,1.")
    ] = "auto",
    rain_layer: Annotated[
        bool, Query(description="Return the rain that was taken away instead of the image.")
    ] = False,
) -> JobOptions:
    """The options of a request.

    Raises:
        Problem: One of them is not possible; says what is.
    """
    names = [model.name for model in site_of(request).models]
    if model is not None and model not in names:
        raise Problem("bad-option", f"model must be one of {', '.join(names)}.")
    if format is not None and format.lower() not in writable():
        raise Problem("bad-option", f"format must be one of {', '.join(writable())}.")
    if scales != "auto":
        from derain.scales import parse_scales  # and NumPy, which this process has no other use for

        try:
            parse_scales(scales)
        except ValueError as error:
            raise Problem("bad-option", f"{error}.") from None
    return JobOptions(model or names[0], strength, format and format.lower(), scales, rain_layer)


def writable() -> list[str]:
    """The formats that this machine writes, as suffixes."""
    avif = features.check("avif")
    return [suffix.lstrip(".") for suffix in FORMATS if avif or suffix != ".avif"]


ThisSite = Annotated[Site, Depends(site_of)]
ThisClient = Annotated[Client, Depends(client_of)]
Options = Annotated[JobOptions, Depends(options_of)]


@router.get("/v1/models")
async def list_models(site: ThisSite) -> Models:
    """List the models, the limits of an upload, and the formats."""
    limits = site.service.limits
    return Models(
        default=site.models[0].name,
        models=site.models,
        limits={"bytes": limits.bytes, "pixels": limits.pixels, "jobs": limits.jobs},
        formats={"read": [suffix.lstrip(".") for suffix in FORMATS], "write": writable()},
        clip_limits={
            "bytes": limits.clip.bytes,
            "pixels": limits.clip.pixels,
            "frames": limits.clip.frames,
            "seconds": limits.clip.seconds,
        },
        video=can_do_clips(),
    )


@router.post(
    "/v1/restore", response_class=Response, responses=RESULT | PROBLEMS, openapi_extra=IMAGE
)
async def restore(
    request: Request, site: ThisSite, client: ThisClient, options: Options
) -> Response:
    """Remove the rain from an image, and answer with the result.

    The work ends if the client goes away.
    """
    async with receive(request, site.service, client) as upload:
        job = site.service.submit(client, options, upload.held, upload.name)
    try:
        await answers.finish(request, job, site.service)
        result = job.outcome()
        return Response(result.read(), media_type=answers.media(job), headers=answers.about(job))
    finally:
        site.service.shelf.forget(job)


@router.post("/v1/jobs", status_code=202, responses=PROBLEMS, openapi_extra=UPLOAD)
async def submit(
    request: Request, response: Response, site: ThisSite, client: ThisClient, options: Options
) -> Accepted:
    """Put an image or a clip into the queue, and answer where its events and result will be.

    A clip keeps its container, its sound and all else, so it takes neither `format` nor
    `rain_layer`.
    """
    async with receive(request, site.service, client, clips=True) as upload:
        if upload.clip and (options.format or options.rain_layer):
            raise Problem("bad-option", "format and rain_layer are for images alone.")
        job = site.service.submit(client, options, upload.held, upload.name, upload.clip)
    path = f"/v1/jobs/{job.id}"
    response.headers["Location"] = path
    position = job.events[-1].data["position"]
    return Accepted(id=job.id, events=f"{path}/events", result=f"{path}/result", position=position)


@router.get("/v1/jobs/{key}", responses={404: {"description": "no such job"}})
async def state(key: str, site: ThisSite) -> JobState:
    """Say how far a job is."""
    job = site.service.shelf.find(key)
    last = job.events[-1]
    return JobState(id=job.id, state=job.state, event=last.name, data=last.data)


@router.get("/v1/jobs/{key}/events", response_class=StreamingResponse)
async def events(key: str, request: Request, site: ThisSite) -> StreamingResponse:
    """Follow a job by server-sent events: queued, running, tile, frame, done, failed.

    All events are sent from the first on, or from the one after `Last-Event-ID`; of a clip's frames
    only the last, with the seconds that are left. A job whose followers have all gone for half a
    minute is cancelled.
    """
    last = request.headers.get("last-event-id", "")
    first = int(last) + 1 if last.isascii() and last.isdigit() and len(last) < 9 else 0
    stream = answers.server_sent(site.service.shelf.find(key), first)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


@router.get(
    "/v1/jobs/{key}/result",
    response_class=StreamingResponse,
    responses=FILE | {409: {"description": "not finished"}, 416: {"description": "no such part"}},
)
async def result(key: str, request: Request, site: ThisSite) -> StreamingResponse:
    """Fetch the result of a job that is done, or the part that `Range` asks for."""
    return answers.file(request, site.service.shelf.find(key))


@router.delete("/v1/jobs/{key}", status_code=204)
async def delete(key: str, site: ThisSite) -> None:
    """Cancel a job, or forget its result."""
    job = site.service.shelf.find(key)
    await site.service.cancel(job)
    site.service.shelf.forget(job)


@router.get("/healthz")
async def healthy() -> dict[str, str]:
    """Say that the server answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "not ready"}})
async def ready(site: ThisSite) -> dict[str, str]:
    """Say whether it takes images: its network is loaded, and it is not stopping."""
    if not site.service.ready:
        kind = "stopping" if site.service.draining else "not-ready"
        raise Problem(kind, "Images are not taken now.", {"Retry-After": "2"})
    return {"status": "ready"}


@router.get("/metrics", response_class=Response)
async def metrics(site: ThisSite) -> Response:
    """Numbers for Prometheus."""
    return Response(site.service.measured(), media_type="text/plain; version=0.0.4")


@router.get("/docs", include_in_schema=False)
async def documentation(request: Request) -> HTMLResponse:
    """This API, for people."""
    return HTMLResponse(pages.documentation(request.app.openapi()))


@router.get("/", include_in_schema=False)
@router.get("/example.jpg", include_in_schema=False)
@router.get("/page/{name:path}", include_in_schema=False)
async def file(request: Request, site: ThisSite) -> Response:
    """The page."""
    return site.files.response(request)
