"""Which aggregates' states another version of the engine reads as what they are.

DuckDB exports a state as plain values, lists and structs, whose shape is in a step's fingerprint. Of most aggregates
the shape says all: a count, a sum, the values themselves. A sketch rests on more, such as the hash of a value, which
DuckDB may change: approx_count_distinct would then take what it has seen for something new, and count it twice.
"""

import duckdb

ENGINE = f"DuckDB {duckdb.__version__}"

# Of whose states every version makes the same. One that is not here yet is as good as unknown: before it is added, the
# checkpoints that are kept for tests (tests/fixtures/checkpoints) are gone on from with it.
SAME_STATES = frozenset({"DuckDB 2.0.0"})

_PLAIN = {
    "any_value",
    "arbitrary",
    "arg_max",
    "arg_max_null",
    "arg_max_nulls_last",
    "arg_min",
    "arg_min_null",
    "arg_min_nulls_last",
    "argmax",
    "argmin",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "count_if",
    "count_star",
    "countif",
    "covar_pop",
    "covar_samp",
    "favg",
    "first",
    "fsum",
    "group_concat",
    "kahan_sum",
    "kurtosis",
    "kurtosis_pop",
    "last",
    "list",
    "listagg",
    "mad",
    "max",
    "max_by",
    "mean",
    "median",
    "min",
    "min_by",
    "product",
    "quantile",
    "quantile_cont",
    "quantile_disc",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "sem",
    "skewness",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "sumkahan",
    "var_pop",
    "var_samp",
    "variance",
}


def is_tied(aggregate: str) -> bool:
    """Whether that aggregate's states mean something only to the engine that made them. True for those unknown here."""
    return aggregate not in _PLAIN


def readable() -> frozenset[str]:
    """The engines whose states of every aggregate this engine reads."""
    return SAME_STATES if ENGINE in SAME_STATES else frozenset({ENGINE})
