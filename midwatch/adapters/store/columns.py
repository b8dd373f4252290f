"""What the tables are made of: the metadata that names their constraints, and column types of our own."""

from sqlalchemy import ColumnElement, DateTime, MetaData, Text, cast
from sqlalchemy.types import UserDefinedType

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class JsonText(UserDefinedType[str]):
    """The ``json`` type, given and taken as text: encoding and decoding is msgspec's."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "JSON"

    def column_expression(self, column: ColumnElement[str]) -> ColumnElement[str]:
        return cast(column, Text)


class Id(Text):
    """Ids compare byte by byte, so that a prefix of one is found by the index whatever the server's language."""

    def __init__(self) -> None:
        super().__init__(collation="C")


Instant = DateTime(timezone=True)
