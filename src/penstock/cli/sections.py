"""Options under headings: a command with thirty options is only readable in groups."""

from __future__ import annotations

from typing import Any

import click


class SectionedOption(click.Option):
    """An option that names the heading it stands under."""

    def __init__(self, *declarations: Any, section: str = "Options", **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Without ranges: the error names them, the help stays readable."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class SectionedCommand(click.Command):
    """A command whose help lists options by section, in the order in which sections first appear."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Argument):
                continue
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Other"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=34)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the epilog as it stands: it holds tables."""
        if self.epilog:
            formatter.write("\n" + self.epilog.strip("\n") + "\n")
