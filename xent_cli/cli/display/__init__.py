"""What a run prints, on which stream and in which form."""
