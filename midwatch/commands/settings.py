"""``midwatch settings``: every setting with its variable, its value and where the value comes from."""

from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer import Exit

from midwatch.domain.errors import Invalid
from midwatch.setting_names import PREFIX
from midwatch.settings import Settings, load_settings

out = Console()


def settings() -> None:
    """List every setting: its environment variable, its value now, and whether that is the default."""
    try:
        current = load_settings()
    except Invalid as error:
        Console(stderr=True).print(escape(str(error)), style="red", highlight=False)
        raise Exit(2) from error
    table = Table("VARIABLE", "VALUE", "", box=None, pad_edge=False)
    for name, field in Settings.model_fields.items():
        value = getattr(current, name)
        default = field.get_default(call_default_factory=True)
        set_ = default is PydanticUndefined or value != default
        shown = "" if value in (None, ()) else str(value)
        table.add_row(PREFIX + name.upper(), escape(shown), "set" if set_ else "")
    out.print(table)
