"""The line that installs an extra is valid for pip, for each place that xent may have been installed from."""

import json
from importlib import metadata

import pytest

from xent_cli.extras import install_line

GIT = {"url": "https://github.com/xent-cli/xent", "vcs_info": {"vcs": "git", "commit_id": "abc123"}}


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (None, "pip install 'xent-cli[ray]'"),
        ({"url": "file:///src/xent", "dir_info": {"editable": True}}, "pip install -e '/src/xent[ray]'"),
        ({"url": "file:///src/xent", "dir_info": {}}, "pip install 'xent-cli[ray] @ file:///src/xent'"),
        (
            {"url": "file:///x/xent_cli-0.1.0-py3-none-any.whl", "archive_info": {}},
            "pip install 'xent-cli[ray] @ file:///x/xent_cli-0.1.0-py3-none-any.whl'",
        ),
        (GIT, "pip install 'xent-cli[ray] @ git+https://github.com/xent-cli/xent@abc123'"),
    ],
)
def test_the_line_names_where_xent_came_from(origin, line, tmp_path, monkeypatch):
    folder = tmp_path / "xent_cli-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: xent-cli\nVersion: 0.1.0\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.PathDistribution(folder))
    assert install_line("ray") == line
