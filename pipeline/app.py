"""What every command line here shares: Hydra composes the config, errors come out as one line."""

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline.errors import RetrievalError

CONF = Path(__file__).resolve().parent.parent / "conf"

# The groups whose files DVC tracks one by one.
LEAVES = ("encoder", "dataset")
# DVC leaves keys of these names, meant for sizes of files, out of the keys of its run-cache: after an edit of
# such a value it would bring back the results of the old one (treeverse/dvc issue 10296).
INVISIBLE = ("size", "nfiles")


def app(config_name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make ``main(config)`` a Hydra app that composes ``conf/<config_name>.yaml``.

    A setting left at ``???`` and a :class:`RetrievalError` end the process with exit code 2 and one
    line on standard error; anything else is a bug and keeps its traceback.
    """

    def decorate(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        @functools.wraps(main)
        def guarded(config: DictConfig) -> None:
            try:
                refuse_missing(config)
                for group, choice in HydraConfig.get().runtime.choices.items():
                    if group in LEAVES:
                        refuse_untracked(CONF / group / f"{choice}.yaml")
                main(config)
            except (RetrievalError, OmegaConfBaseException) as error:
                # SystemExit passes through Hydra untouched; any other exception would be wrapped
                # in its own report.
                print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
                raise SystemExit(2) from None

        run: Callable[[], None] = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(
            guarded
        )
        return run

    return decorate


def refuse_missing(config: DictConfig) -> None:
    """Raise :class:`RetrievalError` naming the settings of ``config`` that still are ``???``."""
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        usage = " ".join(f"{key}=..." for key in missing)
        raise RetrievalError(f"no value for {', '.join(missing)}: give {usage} on the command line")


def refuse_untracked(path: Path) -> None:
    """Check that DVC would see every edit of what an encoder's or dataset's YAML says.

    Raises:
        RetrievalError: it is not a YAML mapping; has a ``defaults`` list, whose sources DVC does not
            track; or has a key that DVC's run-cache overlooks, at any depth.
    """
    name = f"conf/{path.parent.name}/{path.name}"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RetrievalError(f"{name} is not YAML: {error}") from None
    if not isinstance(config, dict):
        raise RetrievalError(f"{name}: expected keys and values")
    if "defaults" in config:
        raise RetrievalError(
            f"{name}: a 'defaults' list is not allowed here, because DVC would not see an edit of what it "
            "inherits: copy the inherited keys into this file"
        )
    for key in keys_of(config):
        if key in INVISIBLE:
            raise RetrievalError(
                f"{name}: a key named '{key}' is not allowed, because DVC's run-cache overlooks it and would bring "
                "back results of its old value: give it another name"
            )


def keys_of(value: object) -> Iterator[object]:
    """Yield the keys of a nest of mappings and lists, at every depth."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)
