"""Packages that only some features need: the command that installs them for this installation of xent."""

from __future__ import annotations


def install_line(extra: str) -> str:
    """Return the command that installs an extra, from the same place that xent was installed from.

    pip keeps that place (PEP 610) unless it was a package index: a folder, a wheel, or a revision of a repository.

    Examples
    --------
    >>> install_line("dask").startswith("pip install ")
    True
    """
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        text = distribution("xent-cli").read_text("direct_url.json")
    except PackageNotFoundError:  # run from a folder that was never installed
        text = None
    origin = json.loads(text) if text else {}
    url = str(origin.get("url", ""))
    if origin.get("dir_info", {}).get("editable"):
        return f"pip install -e '{url.removeprefix('file://')}[{extra}]'"
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    return f"pip install 'xent-cli[{extra}] @ {url}'" if url else f"pip install 'xent-cli[{extra}]'"
