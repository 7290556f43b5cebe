"""Made-up rows, for tests and demonstrations."""

from pydantic import Field

from streamjob_api.base import Int, Part
from streamjob_api.cel import CelRule
from streamjob_api.systems.kinds import SourceKind


class RateSource(Part):
    """Rows made up for tests and demonstrations: columns `value` BIGINT (0, 1, 2 …) and `timestamp` TIMESTAMP."""

    rows_per_second: Int = Field(1, ge=1, le=100_000_000, description="How many rows become due in a second.")


# That a watermark's column is of type TIMESTAMP, for the API server, which does not know the columns.
_WATERMARK = CelRule(
    "!has(self.watermark) || has(self.watermark.expression) || !has(self.rate) || "
    "self.watermark.column.lowerAscii() == 'timestamp'",
    "take the column of type TIMESTAMP: timestamp",
    field="watermark.column",
)

SOURCE = SourceKind(
    model=RateSource,
    columns={"value": "BIGINT", "timestamp": "TIMESTAMP"},
    ends=False,
    cel={"": (_WATERMARK,)},
)
