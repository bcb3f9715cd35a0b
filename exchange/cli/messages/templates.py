"""``comity template``: requests that are written often."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli._options import DEFAULT_HOME, HomeOption, JsonOption, run
from exchange.cli.output import line, print_json, table
from exchange.i18n import _
from keys.local.given_files import FileKind, take
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

app = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help=_("The template's name."))]


@app.command(name="list", help=_("List the templates.\n\nExample: comity template list"))
def list_(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the templates."""

    async def work() -> None:
        from exchange.messaging.drafting.templates import all_templates
        from exchange.settings import Home

        found = all_templates(Home(home.expanduser()).templates)
        if as_json:
            from exchange.acts.drafting import templates_object

            print_json(templates_object(found))
            return
        table(
            _("Templates"),
            [_("Name"), _("Version"), _("Type"), _("Title"), _("From")],
            [(t.template, t.version, t.type, t.title, origin) for origin, t in found],
        )

    run(work, as_json=as_json)


@app.command(help=_("Show a template and its placeholders.\n\nExample: comity template show preservation-ip"))
def show(name: NameArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show a template."""

    async def work() -> None:
        from exchange.messaging.drafting.templates import find_template, to_bytes
        from exchange.settings import Home

        found = find_template(Home(home.expanduser()).templates, name)
        if as_json:
            print_json(found.model_dump())
            return
        print(to_bytes(found).decode(), end="")

    run(work, as_json=as_json)


@app.command(help=_("Write a template to a file.\n\nExample: comity template export preservation-ip mine.json"))
def export(
    name: NameArgument,
    out: Annotated[Path, typer.Argument(help=_("The file to write."))],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Export a template."""

    async def work() -> None:
        from exchange.messaging.drafting.templates import find_template, to_bytes
        from exchange.settings import Home

        content = to_bytes(find_template(Home(home.expanduser()).templates, name))
        try:
            with out.open("xb") as file:
                file.write(content)
        except OSError as problem:
            raise UsageError(phrase("cannot write {path}: {error}", path=out, error=problem.strerror)) from problem
        if as_json:
            print_json({"file": str(out)})
        else:
            line(str(out))

    run(work, as_json=as_json)


@app.command(name="import", help=_("Keep a template at this desk.\n\nExample: comity template import mine.json"))
def import_(
    file: Annotated[Path, typer.Argument(help=_("A template, JSON or YAML."))],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Import a template."""

    async def work() -> None:
        from exchange.messaging.drafting.templates import keep_template, parse_template
        from exchange.settings import DeskSettings, Home

        files = Home(home.expanduser())
        DeskSettings.load(files.settings)  # says when this is not a desk's home
        kept = take(file, FileKind.TEMPLATE, lambda content: parse_template(content, file.name))
        keep_template(files.templates, kept)
        if as_json:
            print_json({"template": kept.template, "version": kept.version})
        else:
            line(f"{kept.template} {kept.version}")

    run(work, as_json=as_json)
