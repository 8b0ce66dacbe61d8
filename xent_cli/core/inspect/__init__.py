"""What `xent inspect` reports about an input: figures of its values, and advice."""
