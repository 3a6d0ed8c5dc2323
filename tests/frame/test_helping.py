"""What ``--help`` says: every setting of every command, with its comment."""

from pathlib import Path

import pytest

from pipeline.frame.helping import help_of, settings_in
from pipeline.frame.yamls import read_yaml
from tests.conftest import TOP

CONF = TOP / "conf"
GROUPS = ("encoder", "dataset", "ranking")
COMMANDS = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "base")


def test_settings_are_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "made.yaml").write_text(
        "# The top.\ndefaults:\n  - base\n  - encoder: ???\n  - override hydra/job_logging: stdout\n\n"
        "# Of both.\na: 1  # one\nb:\n  c: ???  # inside\nencoder_name: ${hydra:runtime.choices.encoder}\n"
        "encoder: null  # no setting\nlast: null\nhydra:\n  help: {app_name: made}\n"
    )
    settings = "# Of both.\na: 1  # one\nb:\n  c: ???  # inside\nlast: null"
    assert settings_in(tmp_path / "made.yaml") == settings
    assert help_of(tmp_path, "made", "\nWhat for.\n") == (
        "What for.\n\nNames of YAMLs in conf/: encoder=???\n"
        f"Settings (conf/made.yaml) and their defaults; ??? must be given:\n\n{settings}"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_is_there(command: str) -> None:
    said = help_of(CONF, command, "")
    config = read_yaml(CONF / f"{command}.yaml", name=command)
    for key, value in config.items():
        if key in ("defaults", "hydra", *GROUPS) or str(value).startswith(("${hydra:", "${run_name:")):
            continue  # a name that is chosen, or no setting
        assert f"\n{key}:" in said or command == "add"  # whose help is about the keys of a YAML
    assert "override hydra" not in said and "app_name" not in said
