"""Every kind of DuckDB's values, for tests of what becomes of them from step to step, in a state and in sinks."""

# Type -> some of its values, in SQL, in any order.
VALUES = {
    "BOOLEAN": ("true", "false"),
    "TINYINT": ("-128", "127"),
    "SMALLINT": ("-32768", "32767"),
    "INTEGER": ("-2147483648", "2147483647"),
    "BIGINT": ("-9223372036854775808", "9223372036854775807"),
    "HUGEINT": ("'-170141183460469231731687303715884105728'", "'170141183460469231731687303715884105727'", "0"),
    "UTINYINT": ("0", "255"),
    "USMALLINT": ("0", "65535"),
    "UINTEGER": ("0", "4294967295"),
    "UBIGINT": ("0", "18446744073709551615"),
    "UHUGEINT": ("0", "'340282366920938463463374607431768211455'", "'170141183460469231731687303715884105728'"),
    "FLOAT": ("'-inf'", "'nan'", "0.1"),
    "DOUBLE": ("'nan'", "'inf'", "1e300", "'-1e-300'"),
    "DECIMAL(4, 2)": ("-99.99", "99.99"),
    "DECIMAL(9, 0)": ("1", "2"),
    "DECIMAL(18, 3)": ("1.5", "2.25"),
    "DECIMAL(38, 5)": ("'-999999999999999999999999999999999.99999'", "'999999999999999999999999999999999.99999'"),
    "VARCHAR": ("''", "'NULL'", "'it''s'"),
    "BLOB": ("''", "'\\x00\\xFF'"),
    "BIT": ("'0'", "'00'", "'1010101010101'"),
    "DATE": ("'-infinity'", "'infinity'", "'2026-01-02'", "'0044-03-15 (BC)'"),
    "TIME": ("'00:00:00'", "'24:00:00'", "'10:00:00.000001'"),
    "TIME_NS": ("'00:00:00'", "'23:59:59.999999999'"),
    "TIMETZ": ("'10:00:00+05'", "'10:00:00-05:30'", "'10:00:00'"),
    "TIMESTAMP": ("'-infinity'", "'infinity'", "'2026-01-02 03:04:05.000006'"),
    "TIMESTAMP_S": ("'-infinity'", "'infinity'", "'2026-01-02 03:04:05'", "'290000-01-01'"),
    "TIMESTAMP_MS": ("'-infinity'", "'infinity'", "'2026-01-02 03:04:05.006'"),
    "TIMESTAMP_NS": ("'-infinity'", "'infinity'", "'2026-01-02 03:04:05.000000007'"),
    "TIMESTAMPTZ": ("'-infinity'", "'infinity'", "'2026-01-02 03:04:05+06'"),
    "TIMESTAMPTZ_NS": ("'2026-01-02 03:04:05.000000007+06'", "'2020-01-01'"),
    "UUID": ("'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    "JSON": ("'1'", "'{\"a\": [1, null]}'", "'null'"),
    "ENUM('z', 'a')": ("'z'", "'a'"),
    "BIGINT[]": ("[]", "[1, NULL]", "[2]"),
    "VARCHAR[]": ("['NULL', NULL, '']", "['a, b']"),
    "DATE[2]": ("['2026-01-01', NULL]", "['2026-01-01', 'infinity']"),
    "STRUCT(a BIGINT, b VARCHAR)": ("{'a': 1, 'b': NULL}", "{'a': 1, 'b': ''}"),
    "TUPLE(INTEGER, VARCHAR)": ("(1, 'a')", "(2, NULL)"),
    "MAP(VARCHAR, INTEGER)": ("MAP {}", "MAP {'a': NULL}", "MAP {'a': 1, 'b': 2}"),
    "MAP(INTEGER[], DATE)": ("MAP {}", "MAP {[1]: '2026-01-01'}"),
    "HUGEINT[]": ("[]", "['170141183460469231731687303715884105727']"),
    "UHUGEINT[]": ("[NULL]", "['340282366920938463463374607431768211455']"),
    "STRUCT(a UHUGEINT, b TIMETZ)": ("{'a': 1, 'b': '10:00:00+05'}", "{'a': 1, 'b': '10:00:00-05'}"),
    "TIMESTAMP_S[]": ("['infinity']", "[NULL, '2026-01-01']"),
    "MAP(UUID, TIMESTAMP_S)": ("MAP {}", "MAP {'00000000-0000-0000-0000-000000000000': 'infinity'}"),
    "STRUCT(a ENUM('z', 'a'), b JSON[])": ("{'a': 'z', 'b': ['1']}", "{'a': 'a', 'b': []}"),
    "BIT[]": ("['0', NULL]", "['0101']"),
}
# What no checkpoint holds, so that no group and no aggregate may have it.
UNKEPT = {
    "BIGNUM": ("1", "'123456789012345678901234567890123456789012345'"),
    "INTERVAL": ("'1 month 2 days 3 microseconds'", "'-1 second'"),
    "UNION(a INTEGER, b VARCHAR)": ("1::INTEGER", "'x'::VARCHAR"),
    "GEOMETRY": ("'POINT(1 1)'", "'POINT(2 2)'"),
    "STRUCT(a INTERVAL)": ("{'a': '1 day'}", "{'a': '2 days'}"),
}
ALL = {**VALUES, **UNKEPT}


def value_of(kind: str, number: str) -> str:
    """SQL for the value of that number; NULL for every other."""
    cases = " ".join(f"WHEN {i} THEN CAST({value} AS {kind})" for i, value in enumerate(ALL[kind]))
    return f"(CASE {number} {cases} END)"
