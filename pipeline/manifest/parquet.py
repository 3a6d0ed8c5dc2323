"""A large manifest as Parquet: a fraction of the bytes of the CSV, and in memory as columns, not as objects."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from pipeline.frame.files import replacing_file
from pipeline.manifest.items import COLUMNS, WITH_TEXT, Item, item_of

ROWS = 65536  # written at a time


def schema_of(columns: Sequence[str]) -> pa.Schema:
    """Return the types of columns."""
    return pa.schema([(name, pa.int32() if name in ("width", "height") else pa.string()) for name in columns])


def write_rows(rows: Iterable[Sequence[Any]], target: Path, columns: Sequence[str] = COLUMNS) -> None:
    """Write rows in the order of the columns, whole or not at all."""
    schema = schema_of(columns)
    with replacing_file(target) as partial, parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        waiting = iter(rows)
        while some := list(islice(waiting, ROWS)):
            typed = zip(zip(*some, strict=True), schema.types, strict=True)
            writer.write_batch(pa.record_batch([pa.array(column, kind) for column, kind in typed], schema=schema))


class Items(Sequence[Item]):
    """The items of a manifest, each made when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Read the columns.

        Raises:
            ValueError: the file is damaged, or has other columns.
        """
        try:
            self._table = parquet.read_table(path, read_dictionary=["labels", "box", "role", "group", "root"])
        except pa.ArrowException as error:
            raise ValueError(f"{path.name}: {error}") from None
        if tuple(self._table.column_names) not in (COLUMNS, WITH_TEXT):
            raise ValueError(f"{path.name} has the columns {self._table.column_names}")

    @property
    def has_texts(self) -> bool:
        """Whether some items are texts."""
        return WITH_TEXT[-1] in self._table.column_names

    def __len__(self) -> int:
        """Return the number of items."""
        return int(self._table.num_rows)

    def __getitem__(self, index: Any) -> Any:
        """Return an item, or those of a slice."""
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        place = range(len(self))[index]  # IndexError where there is none
        return item_of(*(column[place].as_py() for column in self._table.columns))

    def __iter__(self) -> Iterator[Item]:
        """Yield the items in order."""
        for batch in self._table.to_batches(max_chunksize=ROWS):
            yield from map(item_of, *(column.to_pylist() for column in batch.columns))
