"""What every command line here shares: Hydra composes the config, errors come out as one line."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline.frame.tracked import LEAVES, refuse_untracked
from pipeline.retrieval.errors import RetrievalError

CONF = Path(__file__).resolve().parents[2] / "conf"


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


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a composed config as plain dictionaries and lists, its interpolations resolved."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
