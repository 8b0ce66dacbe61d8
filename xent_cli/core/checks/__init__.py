"""What the rows of an input are: distributions or logits, rounded or not, and whether they keep what was declared."""
