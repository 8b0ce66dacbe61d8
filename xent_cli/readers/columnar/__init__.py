"""Tables that are stored by column: Parquet and Arrow."""
