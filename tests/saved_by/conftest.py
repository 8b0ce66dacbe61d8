"""The maker of the files needs PyTorch, which the tests do without."""

collect_ignore = ["make_torch.py"]
