"""Files that hold arrays of numbers: any rank, read by ranges of samples."""
