"""Tables in text: delimited text and JSON Lines."""
