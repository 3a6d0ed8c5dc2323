"""What every command line here shares: Hydra composes the config, errors come out as one line."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pipeline.frame.tracked import LEAVES, refuse_untracked
from pipeline.retrieval.errors import RetrievalError

CONF = Path(__file__).resolve().parents[2] / "conf"


def app(config_name: str, *, multirun: bool = False) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make ``main(config)`` a Hydra app that composes ``conf/<config_name>.yaml``.

    What is wrong with the command line, a setting left at ``???`` and a :class:`RetrievalError` end the process with
    exit code 2 and one line on standard error; anything else is a bug and keeps its traceback.

    Args:
        config_name: the name of its config.
        multirun: whether it is meant for Hydra's multirun.
    """

    def decorate(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        @functools.wraps(main)
        def guarded(config: DictConfig) -> None:
            with one_line():
                refuse_missing(config)
                choices = HydraConfig.get().runtime.choices
                for group in LEAVES:
                    if group in choices:
                        refuse_untracked(CONF / group / f"{choices[group]}.yaml")
                    elif f"{group}_name" in config:  # Hydra takes a list of names too
                        raise RetrievalError(f"{group}: give the name of one YAML in conf/{group}")
                main(config)

        whole: Callable[[], None] = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(
            guarded
        )

        @functools.wraps(main)
        def run() -> None:
            # Hydra composes every config twice, to learn first whether it is a multirun, and sets up a job. A stage
            # needs neither, and that is a tenth of a second of each.
            if multirun or any(argument.startswith(("-", "hydra", "+hydra")) for argument in sys.argv[1:]):
                whole()
            else:
                with one_line(ValueError, YAMLError):
                    config = composed(config_name, sys.argv[1:])
                guarded(config)

        return run

    return decorate


def composed(config_name: str, overrides: list[str]) -> DictConfig:
    """Return a config as Hydra composes it; ``${hydra:runtime.choices.encoder}`` and the like are known afterwards."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose(config_name, overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    return config


@contextmanager
def one_line(*others: type[Exception]) -> Iterator[None]:
    """Turn what a user can set right, and ``others``, into one line on standard error, and exit code 2."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (RetrievalError, OmegaConfBaseException, HydraException, *others)):
            raise
        # SystemExit passes through Hydra untouched; any other exception would be wrapped in its own report.
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


def refuse_missing(config: DictConfig) -> None:
    """Raise :class:`RetrievalError` naming the settings of ``config`` that still are ``???``."""
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        usage = " ".join(f"{key}=..." for key in missing)
        raise RetrievalError(f"no value for {', '.join(missing)}: give {usage} on the command line")


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a composed config as plain dictionaries and lists, its interpolations resolved."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
