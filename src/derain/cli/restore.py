"""`derain restore`: rainy images and clips in, clean ones out."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.weights.catalog import DEFAULT

if TYPE_CHECKING:
    from derain.batch import Outcome
    from derain.restore import Restorer


def restore(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs, URLs such as s3://bucket/images, or - for standard input."
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", help="Write to this file, folder or URL, or to standard output with -."
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Also search the subfolders.")
    ] = False,
    suffix: Annotated[
        str | None,
        typer.Option(
            help="Append this to the names of results. The default is _derained, or nothing where "
            "-o names a folder."
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="Write this format, such as jpg, png, webp or tif. The default is that of the "
            "image."
        ),
    ] = None,
    quality: Annotated[
        int, typer.Option(min=1, max=100, help="Set the quality of JPEG, WebP, AVIF and clips.")
    ] = 95,
    codec: Annotated[
        str | None,
        typer.Option(
            help="Write clips with this codec, such as h264, hevc, av1, vp9 or ffv1. The default "
            "is that of the clip."
        ),
    ] = None,
    temporal: Annotated[
        bool,
        typer.Option(
            "--temporal/--no-temporal", help="Let neighbouring frames of a clip help each other."
        ),
    ] = True,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with clips that were stopped, and skip what is finished."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip images whose result exists.")
    ] = False,
    strength: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.5,
            help="Take away this much of the rain that was found: 0 changes nothing, 1 is the "
            "network's result, more can help where rain is left and costs detail.",
        ),
    ] = 1.0,
    rain_layer: Annotated[
        bool,
        typer.Option(
            "--rain-layer",
            help="Also write the rain that was taken away from each image, as NAME_rain beside the "
            "result: the image minus the result, not scaled, so that both add up to the image.",
        ),
    ] = False,
    model: Annotated[
        str, typer.Option(help="Use this model: a name that `derain models` lists, or a file.")
    ] = DEFAULT,
    device: Annotated[
        str,
        typer.Option(metavar="DEVICE", help="Run on this device; auto takes a GPU."),
    ] = "auto",
    engine: Annotated[str, typer.Option(metavar="ENGINE", help="Run with this engine.")] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="PRECISION", help="Compute in this precision.")
    ] = "auto",
    tile: Annotated[
        str, typer.Option(metavar="[auto|off|PIXELS]", help="Set the tile size.")
    ] = "auto",
    scales: Annotated[
        str,
        typer.Option(
            metavar="[auto|FACTORS]",
            help="Look for rain at these fractions of the size, such as 4,2,1, the coarsest first: "
            "2 is half the height and width. auto follows the size of the image.",
        ),
    ] = "auto",
    memory: Annotated[
        str | None,
        typer.Option(
            help="Use at most this much memory, such as 2GB. The default is a quarter of what is "
            "free."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Process this many images at a time.")] = 2,
    log: Annotated[
        Path | None, typer.Option(help="Append one line of JSON per image to this file.")
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Refuse images of more pixels than this.")
    ] = 250_000_000,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[local|auto|ADDRESS]",
            help="Restore a folder and its tar shards with Ray: on this machine, on the cluster "
            "that it belongs to, or on the one at an address.",
        ),
    ] = None,
    tar: Annotated[
        int | None,
        typer.Option(min=1, help="With --ray, write images into tar shards of this many."),
    ] = None,
    worker_cpus: Annotated[
        int, typer.Option(min=1, help="With --ray, give each worker this many cores.")
    ] = 1,
    worker_gpus: Annotated[
        float,
        typer.Option(min=0, help="With --ray, give each worker this many GPUs, or a fraction."),
    ] = 0.0,
) -> None:
    """Remove the rain from images and clips.

    Those that cannot be restored are listed at the end.
    """
    from derain import batch
    from derain.cli.console import frame_progress, log_to_terminal, note, progress
    from derain.io.pairs import is_image_name
    from derain.restore import RestoreOptions, load

    log_to_terminal()
    options = RestoreOptions(tile, scales, strength)
    if ray is not None:
        from derain.cli.scale import restore_with_ray

        restore_with_ray(
            inputs, out, ray,
            batch.BatchSettings(
                format, quality, options, overwrite, skip_existing, max_pixels
            ),
            model=(model, device, engine, precision, memory),
            recursive=recursive, resume=resume, tar=tar, cpus=worker_cpus, gpus=worker_gpus,
            refused={
                "--suffix": suffix is not None, "--codec": codec is not None,
                "--no-temporal": not temporal, "--jobs": jobs != 2, "--log": log is not None,
            },
        )  # fmt: skip
    if tar or worker_cpus != 1 or worker_gpus:
        raise ValueError("--tar, --worker-cpus and --worker-gpus apply only with --ray")
    todo, failed = batch.plan(inputs, out, recursive=recursive, suffix=suffix, format=format)
    if log and is_image_name(log.name):
        raise ValueError(f"--log {log}: would write into an image; choose another name")
    if any(job.target is None for job in todo) and (sys.stdout is None or sys.stdout.isatty()):
        raise ValueError("an image would go to the terminal; redirect it or name a file with -o")
    restorer = load(model, device=device, precision=precision, engine=engine, memory=memory)
    restorer.tile_for(1, 1, tile)  # a wrong option is said once, before the first image
    restorer.scales_for(1, 1, scales)
    note(what_runs(restorer, tile))
    with (
        log.open("a", encoding="utf-8") if log else nullcontext() as records,
        progress() as show,
        frame_progress() as show_frames,
    ):
        settings = batch.BatchSettings(
            format, quality, options, overwrite, skip_existing or resume, max_pixels, codec,
            temporal, resume, lambda job, done, total: show_frames(job.source, done, total),
            "beside" if rain_layer else "no",
        )  # fmt: skip

        def done(outcome: "Outcome") -> None:
            report(outcome, restorer, records)
            outcomes.append(outcome)
            show(len(outcomes), len(failed) + len(todo))

        outcomes: list[Outcome] = []
        for outcome in failed:
            done(outcome)
        try:
            batch.run(todo, restorer, settings, jobs, done)
        except KeyboardInterrupt:
            note("stopped; what is finished is kept, --resume goes on from here")
            raise typer.Exit(130) from None
    statuses = ("restored", "incomplete", "skipped", "failed")
    counts = {s: sum(o.status == s for o in outcomes) for s in statuses}
    if len(outcomes) > 1:
        summary = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
        dry = sum(o.status == "restored" and o.change < batch.UNCHANGED for o in outcomes)
        note(summary + (f"; no rain was found in {dry}" if dry else ""))
    if counts["failed"] and len(outcomes) > 1:
        note("failed:\n" + "\n".join(f"  {o.message}" for o in outcomes if o.status == "failed"))
    raise typer.Exit(1 if counts["failed"] or counts["incomplete"] else 0)


def what_runs(restorer: "Restorer", tile: str) -> str:
    """One line: model, weights, engine, device and why, precision, tiles."""
    import derain

    record, engine = restorer.record, restorer.engine
    tile_size = restorer.tile_for(4000, 6000, tile)  # of a large photograph
    tiles = "no tiles" if tile == "off" else f"tiles up to {tile_size}"
    return (
        f"derain {derain.__version__}: {record.name} ({record.parameters / 1e6:.2f} M parameters), "
        f"{engine.name} on {engine.device} ({restorer.choice.reason}), {engine.precision}, {tiles}"
    )


def report(outcome: "Outcome", restorer: "Restorer", records: Any) -> None:
    """Say what became of an image, on the terminal and in the log."""
    from derain.batch import UNCHANGED
    from derain.cli.console import note

    source, target = outcome.job.source, outcome.job.target
    match outcome.status:
        case "restored" | "incomplete":
            found = outcome.change >= UNCHANGED
            change = f"changed by {outcome.change:.1f} of 255" if found else "no rain was found"
            frames = f"{outcome.frames} frames, " if outcome.job.clip else ""
            took = f"{frames}{outcome.seconds:.2f} s"
            note(f"{source} -> {target or 'standard output'}  {took}, {change}")
            if outcome.message:
                note(f"warning: {outcome.message}")
        case "stopped":
            note(outcome.message)
        case "skipped":
            note(f"{source}: skipped, {target} is there")
        case _:
            note(f"error: {outcome.message}")
    if records:
        height, width = outcome.size or (None, None)
        line = {
            "source": source, "target": str(target) if target else None,
            "status": outcome.status, "seconds": round(outcome.seconds, 3),
            "width": width, "height": height, "change": round(outcome.change, 3),
            "error": outcome.message or None,
            "model": restorer.record.name, "precision": restorer.engine.precision,
        }  # fmt: skip
        records.write(json.dumps(line) + "\n")
        records.flush()
