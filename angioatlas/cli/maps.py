"""`angioatlas map`: embeddings on a plane, and what its islands are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    LevelOption,
    StoreOption,
    YesOption,
    open_atlas,
)
from angioatlas.cli.output import (
    print_facts,
    print_json,
    print_notice,
    print_table,
    say,
)
from angioatlas.cli.studies import ExamsOption, OutOption
from angioatlas.plain_rows import records
from core.provenance import RESEARCH_USE
from core.schema import Level

if TYPE_CHECKING:
    from angioatlas.maps.draw import MapResult

app = typer.Typer(no_args_is_help=True, help="Draw embeddings on a plane.")

NameArgument = Annotated[str, typer.Argument(help="Name of a saved map, or its id.")]
PageOption = Annotated[
    Path | None, typer.Option("--report", help="Write OUT.html, and OUT.json beside it.")
]


@app.command("draw")
def draw(
    name: Annotated[str, typer.Argument(help="Name to save it under.")],
    store: StoreOption = None,
    level: LevelOption = Level.STUDY,
    cohort: ExamsOption = None,
    method: Annotated[str, typer.Option("--method", help="umap or pca.")] = "umap",
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=2, help="How many count as a neighbourhood.")
    ] = 15,
    landmarks: Annotated[
        int,
        typer.Option(
            "--landmarks", min=100, help="Of more dots, draw a sample and place the others."
        ),
    ] = 50_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the map.")] = 0,
    report: PageOption = None,
    out: OutOption = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Draw a map of what is visible, or of the index exams of a cohort, and save it.

    Example: angioatlas map draw all --report map.html --store atlas
    """
    from analytics.maps.projection import METHODS, MapSpec
    from angioatlas.question import one_of

    spec = MapSpec(
        one_of("method", method, METHODS), neighbours=neighbours, landmarks=landmarks, seed=seed
    )
    found = open_atlas(store).draw_map(name, spec=spec, level=level, cohort=cohort, encoder=encoder)
    _tell(found, report, out, json=json)


@app.command("show")
def show(
    name: NameArgument,
    store: StoreOption = None,
    colour: Annotated[
        str | None,
        typer.Option("--colour", help="Of the dots in the report, see `map colours`: islands."),
    ] = None,
    report: PageOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Show a saved map with what the store has now; what came later is placed on it.

    Example: angioatlas map show all --colour lvef_percent --report map.html --store atlas
    """
    from analytics.maps.picture import ISLAND

    _tell(open_atlas(store).map(name, colour=colour or ISLAND), report, out, json=json)


@app.command("colours")
def colours(name: NameArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """List what the dots of a saved map can be coloured by: what the store knows of some.

    Example: angioatlas map colours all --store atlas
    """
    found = open_atlas(store).map_colours(name)
    rows = [
        {
            "colour": each.name,
            "title": each.title,
            "values": each.unit or "number" if each.is_number else ", ".join(each.levels),
        }
        for each in found
    ]
    if json:
        print_json({"map": name, "colours": rows, "notice": RESEARCH_USE})
        return
    print_table(rows)
    print_notice()


@app.command("list")
def list_(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the saved maps.

    Example: angioatlas map list --store atlas
    """
    rows = records(open_atlas(store).maps())
    if json:
        print_json(rows)
        return
    shown = [{**row, "map_id": row["map_id"][:12]} for row in rows]
    print_table(shown, empty="no map yet: angioatlas map draw NAME")
    print_notice()


@app.command("delete")
def delete(name: NameArgument, store: StoreOption = None, yes: YesOption = False) -> None:
    """Delete a saved map.

    Example: angioatlas map delete all --yes
    """
    if not yes:
        typer.confirm(f"Delete the map {name!r}?", abort=True)
    open_atlas(store).drop_map(name)
    say(f"deleted {name!r}")


def _tell(found: MapResult, report: Path | None, out: Path | None, *, json: bool) -> None:
    written = [*found.write(report)] if report is not None else []
    if out is not None:
        found.dots.to_csv(out, index=False)
        written.append(out)
    if json:
        told = {"map": found.name, "dots": records(found.dots), "islands": records(found.islands)}
        print_json({**told, "quality": vars(found.quality), "notice": RESEARCH_USE})
    else:
        islands = found.dots["cluster"].max() + 1
        print_facts(
            {
                "dots": len(found.dots),
                "placed without drawing again": int(found.dots["placed"].sum()),
                "gone since": found.gone,
                "islands": int(islands),
                "trustworthiness": f"{found.quality.trustworthiness:.3f}",
                "neighbours kept": f"{found.quality.overlap:.0%} of {found.quality.neighbours}",
            }
        )
        print_table(
            records(found.islands.groupby("cluster").head(3)),
            empty="nothing that is known is more frequent on one island than elsewhere",
        )
        print_notice(found.about["encoder_id"])
    for path in written:
        say(f"{path} written", stderr=json)
