"""What `xent inspect` says of an input: its values counted, and the advice that follows."""
