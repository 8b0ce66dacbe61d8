"""Only the script that makes the files needs PyTorch, not the tests."""

collect_ignore = ["make_torch.py"]
