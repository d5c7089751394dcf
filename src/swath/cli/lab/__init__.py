"""`swath lab`: the commands that measure the method."""

import typer

from swath.cli.lab import bench, compare, days, faults, realism, robustness, variance
from swath.errors import SettingsError

app = typer.Typer(help="Measure the method itself.", rich_markup_mode=None)
app.command("compare", short_help="Compare models over held-out sites and seeds.")(compare.command)
app.command("bench", short_help="How fast this machine maps and trains, and beside what.")(bench.command)
app.command("robustness", short_help="What clouds, orders and shifts do to the maps.")(robustness.command)
app.command("variance", short_help="How much maps differ from day to day.")(variance.command)
app.command("realism", short_help="How far simulated images are from real ones.")(realism.command)
app.command("faults", short_help="What commands lose that are killed or starved.")(faults.command)
app.add_typer(days.app, name="days", short_help="Further days of real places.")

MOVED = ("bench", "compare", "days", "realism", "robustness", "variance")
"""Commands that stood beside `swath map` in version 0.1."""

ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""How typer takes whatever follows the name of a moved command."""


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    """Measure the method itself."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def moved(context: typer.Context) -> None:
    """Say where a command went."""
    name = context.info_name
    raise SettingsError(f"swath {name} is now swath lab {name}, with the same arguments")
