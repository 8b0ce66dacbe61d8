"""Files that programs which run language models write."""
