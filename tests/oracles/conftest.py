"""The scripts here are run by hand; only `reference` is for tests."""

collect_ignore_glob = ["make_*.py"]
