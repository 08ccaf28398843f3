"""`derain data`: the public sets, and which of them lie on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.facts import Command

if TYPE_CHECKING:
    from derain.evaluation.sets import SetCheck

app = typer.Typer(help="List the public sets, and check the copies on this machine.")


@app.command("list")
def list_sets() -> None:
    """List the public sets: what they are and where they come from."""
    from derain.data.public import SETS

    for public in SETS.values():
        things = "photographs" if public.real else "pairs"
        facts = [
            ("what", public.about),
            ("count", f"{public.pairs:,} {things}"),
            ("from", public.home),
            ("licence", public.licence),
            ("overlaps", public.overlaps),
        ]
        if public.input_psnr:
            source = f" ({public.input_source})" if public.input_source else ""
            facts.append(("input", f"PSNR {public.input_psnr:.2f} dB, Y{source}"))
        typer.echo(f"{public.name}: {public.title}")
        typer.echo("".join(f"  {name:<9} {text}\n" for name, text in facts))


@app.command("check", cls=Command)
def check_sets(
    root: Annotated[
        str, typer.Argument(help="The folder that holds the sets, or is one; or its URL.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Check only this set: a name, or a folder below ROOT. May be repeated."
        ),
    ] = None,
) -> None:
    """Check which public sets a folder holds, and whether they are whole."""
    from itertools import count

    from derain.cli.console import note, progress
    from derain.data.layouts import find_set, find_sets
    from derain.evaluation.sets import check_set
    from derain.io.mirror import local_copy

    checks: list[SetCheck] = []
    with local_copy(root) as folder, progress() as show:
        named = [find_set(folder, what) for what in set_ or ()]
        sets, broken = (named, []) if set_ else find_sets(folder)
        if not sets and not broken:
            raise ValueError(f"{root}: no public set in it; `derain data list` names them")
        done, total = count(1), sum(len(found.items) for found in sets)
        for found in sets:
            checks.append(check_set(found, lambda: show(next(done), total)))
    for result in checks:
        typer.echo(describe(result))
    for problem in broken:
        note(f"problem: {problem}")
    raise typer.Exit(1 if broken or any(result.problems for result in checks) else 0)


def describe(result: "SetCheck") -> str:
    """A set in one line, and what is to be said of it below."""
    found = result.found
    things = "pairs" if found.has_truth else "photographs"
    half = found.items[0].clean_half
    facts = [f"{len(found.items):,} {things}", result.sizes]
    facts += [f"side by side, clean on the {half}"] if half else []
    facts += [f"input PSNR {result.input_psnr:.4f} dB (y)"] if result.input_psnr else []
    verdict = "problem" if result.problems else "ok"
    lines = [f"{verdict:<8}{found.title}: {', '.join(facts)}  {found.folder}"]
    return "\n        ".join([*lines, *result.problems, *result.remarks])
