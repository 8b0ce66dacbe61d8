"""What the inputs of a run are: judged by their first rows, and by the options that fit them."""
