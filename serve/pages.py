"""Rendering: Jinja2 templates with autoescape always on and undefined names an error."""

from datetime import datetime
from pathlib import Path

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from midwatch.domain.spans import in_words
from serve.views import headline

STATIC = Path(__file__).parent / "static"


class Pages:
    """The console's templates. Everything that comes from outside is escaped where it is shown."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["age"] = in_words
        self._templates.filters["headline"] = headline

    def text(self, template: str, *, now: datetime, **values: object) -> str:
        """A page or fragment as text."""
        return self._templates.get_template(template).render({"csrf": "", "who": "", "now": now, **values})

    def page(self, template: str, *, now: datetime, status: int = 200, **values: object) -> Response:
        """A page or fragment as an answer."""
        return Response(self.text(template, now=now, **values), status, media_type="text/html")
