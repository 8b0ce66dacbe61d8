"""Read a table whole with pyarrow, and do nothing with it."""

import sys

if sys.argv[1].endswith(".csv"):
    from pyarrow.csv import read_csv

    print(read_csv(sys.argv[1]).num_rows)
else:
    from pyarrow.parquet import read_table

    print(read_table(sys.argv[1]).num_rows)
