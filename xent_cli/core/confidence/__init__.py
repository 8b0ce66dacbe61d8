"""What a model predicts, how sure it is, and whether rightly so: predictions of rows, and temperature scaling."""
