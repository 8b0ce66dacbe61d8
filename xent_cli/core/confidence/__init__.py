"""What a model predicts and how far its confidence can be trusted: predictions of rows, and temperature scaling."""
