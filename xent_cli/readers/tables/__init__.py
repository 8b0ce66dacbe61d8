"""What tables of every format have in common: Arrow columns to rows of logits and labels."""
