"""`derain published`: the papers' tables as printed."""

from typing import Annotated

import typer


def published(
    paper: Annotated[
        str, typer.Argument(help="Show this paper's tables: mspfn, dcsfn, mh2f-net, ...")
    ] = "",
    table: Annotated[str, typer.Argument(help='Show this table alone, such as "table 4".')] = "",
    latex: Annotated[bool, typer.Option(help="Print LaTeX with booktabs, not Markdown.")] = False,
) -> None:
    """Print the tables of the papers exactly as they are published.

    Without a paper it lists all tables.
    """
    from derain.evaluation import published, typeset

    found = published.find_tables(paper, table)
    if not paper:
        rows = [["paper", "table", "protocol"]]
        rows += [[one.paper, one.name, one.protocol or "not stated"] for one in found]
        typer.echo("\n".join(typeset.align(rows)))
        return
    for one in found:
        title = f"{one.paper}, {one.name}"
        facts = [f"a cell holds {' / '.join(one.metrics)}"] if one.metrics else []
        facts += [f"protocol {one.protocol.replace(published.UNPROVEN, ', likely')}"] * bool(
            one.protocol
        )
        facts += [one.remark] * bool(one.remark)
        if latex:
            typer.echo(typeset.latex(one.cells, ". ".join([title, *facts]) + "."))
            continue
        typer.echo(f"## {title}\n")
        typer.echo("\n".join(typeset.align(one.cells)))
        typer.echo("".join(f"\n{fact[0].upper()}{fact[1:]}.  " for fact in facts) + "\n")
