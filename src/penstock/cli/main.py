"""``penstock``: finds the command, and turns what goes wrong into one block of text and an exit code."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

import penstock
from penstock import errors
from penstock.cli import exits, failures

COMMANDS = {
    "serve": ("penstock.cli.serve", "Serve a model, a scoring script or a deployment file over HTTP."),
    "score": (
        "penstock.cli.score",
        "Score files, tables or a database with it: every row once, in parallel.",
    ),
}
"""Command -> module that holds it under the same name, and its line in ``penstock --help``."""


class LazyGroup(click.Group):
    """A group that imports a command's module only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="penstock COMMAND --help says more.",
)
@click.version_option(penstock.__version__, prog_name="penstock", message="%(prog)s %(version)s")
def penstock_group() -> None:
    """Lead data to trained models: serve them over HTTP, score data in batches, from the files that you have."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """The console script. Ends the process; `penstock.cli.exits` lists the codes."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        penstock_group.main(given, prog_name="penstock", standalone_mode=False)
    except click.ClickException as error:
        failures.show(failures.of_click(error), given)
        sys.exit(exits.USAGE)
    except errors.PenstockError as error:
        failures.show(error, given)
        sys.exit(exits.code_of(error))
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        sys.exit(exits.INTERRUPTED)
    sys.exit(exits.OK)
