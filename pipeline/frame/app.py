"""What every command line here shares: Hydra composes the config, errors come out as one line."""

import errno
import functools
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from pipeline.frame.home import expanded
from pipeline.frame.output import joined, printable, settle_output
from pipeline.frame.runs import run_name
from pipeline.frame.tracked import LEAVES, refuse_untracked
from pipeline.frame.yamls import read_yaml
from pipeline.retrieval.errors import RetrievalError

# What conf/ names the results by.
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
CONF = Path(__file__).resolve().parents[2] / "conf"
# What a machine refuses without naming a file.
REFUSED = {
    getattr(errno, name)
    for name in ["EAGAIN", "EDQUOT", "EFBIG", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EROFS", "ESTALE"]
    if hasattr(errno, name)
}


def app(
    config_name: str, *, multirun: bool = False, texts: Sequence[str] = ()
) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make ``main(config)`` a Hydra app that composes ``conf/<config_name>.yaml``.

    What is wrong with the command line, a setting left at ``???``, what the machine refuses (see :func:`said_of`) and
    a :class:`RetrievalError` end the process with exit code 2 and one line on standard error; anything else is a bug
    and keeps its traceback. If nobody reads standard output any more, it ends with 141 and no word.

    Args:
        config_name: the name of its config.
        multirun: whether it is meant for Hydra's multirun.
        texts: settings that are text, as are all whose default is one.
    """

    def decorate(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        started = []

        @functools.wraps(main)
        def guarded(config: DictConfig) -> None:
            started.append(config)
            with one_line():
                refuse_missing(config)
                refuse_no_text(config, texts)
                choices = HydraConfig.get().runtime.choices
                for group in LEAVES:
                    if group in choices and f"{group}={choices[group]}" not in sys.argv:
                        refuse_untracked(leaf_of(group, choices[group]))
                    elif group not in choices and f"{group}_name" in config:  # Hydra takes a list of names too
                        raise RetrievalError(f"{group}: give the name of one YAML in conf/{group}")
                for name in (str(key) for key in config if str(key).endswith("_name")):
                    if not isinstance(config[name], str):
                        raise RetrievalError(f"{name} is {config[name]!r}: expected one name")
                main(config)

        whole: Callable[[], None] = hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(
            guarded
        )

        def compose_and_run() -> None:
            for group, name in (argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument):
                path = CONF / group / f"{name}.yaml"
                if group in LEAVES and path.is_file():
                    refuse_untracked(path)  # before Hydra, which would follow aliases without an end
            # Hydra composes every config twice, to learn first whether it is a multirun, and sets up a job. A stage
            # needs neither, and that is a tenth of a second of each.
            if multirun or any(argument.startswith(("-", "hydra", "+hydra")) for argument in sys.argv[1:]):
                refuse_flags(sys.argv[1:])
                os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra itself reports what is wrong, at length
                whole()
            else:
                guarded(composed(config_name, sys.argv[1:]))

        @functools.wraps(main)
        def run() -> None:
            started.clear()
            settle_output()
            with one_line():
                if {"-h", "--help"} & set(sys.argv[1:]):  # Hydra would leave out comments, and needs names
                    from pipeline.frame.helping import help_of

                    print(help_of(CONF, config_name, main.__globals__["__doc__"]))
                    return
                try:
                    compose_and_run()
                except Exception as error:
                    # Of a damaged YAML Hydra raises nearly every exception type while it composes.
                    if started or isinstance(error, (RetrievalError, MemoryError)) or getattr(error, "filename", None):
                        raise
                    from pipeline.frame.mistakes import explained

                    raise RetrievalError(explained(error, CONF, config_name, sys.argv[1:])) from None

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
def one_line() -> Iterator[None]:
    """Turn what a user can set right into one line on standard error, and exit code 2; write out what was printed."""
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except Exception as error:
        with suppress(OSError):
            sys.stdout.flush()
        said = said_of(error)
        if said is None:
            raise
        # SystemExit passes through Hydra untouched; any other exception would be wrapped in its own report.
        if isinstance(error, BrokenPipeError):
            raise SystemExit(128 + 13) from None  # as a tool that SIGPIPE ends
        with suppress(OSError):
            print(f"error: {printable(said)}", file=sys.stderr)
        raise SystemExit(2) from None


def said_of(error: Exception) -> str | None:
    """Return what an error says; None for a bug.

    What the operating system refuses is none where it names a file or is for want of room, files or memory.
    """
    if isinstance(error, RetrievalError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"not enough memory ({joined(str(error)) or 'none left'})"
    if isinstance(error, BrokenExecutor):
        return "a process that worked for this one was killed, by someone or for want of memory: run it again"
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        if names or error.errno in REFUSED:
            return f"{' -> '.join(names) or 'a temporary file or process'}: {joined(error.strerror or str(error))}"
        return None
    return joined(str(error)) if isinstance(error, (OmegaConfBaseException, HydraException)) else None


def refuse_flags(arguments: Sequence[str]) -> None:
    """Raise :class:`RetrievalError` for a flag that Hydra does not know."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            get_args_parser().parse_args(arguments)
    except SystemExit as end:
        if end.code:
            raise RetrievalError(f"{said.getvalue().strip().rpartition('error: ')[2]}: see --hydra-help") from None
        raise


def refuse_no_text(config: DictConfig, texts: Sequence[str]) -> None:
    """Raise :class:`RetrievalError` for what the command line makes a number or the like and is meant to be text.

    That are ``texts``, and settings whose default is text. One that is null by default may be null.
    """
    said = HydraConfig.get()
    given = {key: value for key, _, value in (one.partition("=") for one in said.overrides.task)}
    given = {key.lstrip("+"): value for key, value in given.items() if key not in said.runtime.choices}
    path = CONF / f"{said.job.config_name}.yaml"
    if not given or not path.is_file():
        return
    defaults = read_yaml(path, name=f"conf/{path.name}")
    for key, typed in given.items():
        default: Any = defaults
        for part in key.split("."):
            default = default.get(part) if isinstance(default, dict) else None
        text = key in texts or isinstance(default, str) and default != "???"
        value = OmegaConf.select(config, key)
        may_be_null = default is None or str(default).startswith("${")
        if text and not isinstance(value, str) and not (value is None and may_be_null):
            from pipeline.frame.mistakes import quoted

            raise RetrievalError(f"{key} is {typed}, which is no text: give {quoted(key, typed)} if it is meant as one")


def leaf_of(group: str, name: str) -> Path:
    """Return the YAML of a group that a config was composed of."""
    sources = [Path(one.path) for one in HydraConfig.get().runtime.config_sources if one.schema == "file"]
    found = (source / group / f"{name}.yaml" for source in (CONF, *sources))
    return next((path for path in found if path.is_file()), CONF / group / f"{name}.yaml")


def refuse_missing(config: DictConfig) -> None:
    """Raise :class:`RetrievalError` naming the settings of ``config`` that still are ``???``."""
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        usage = " ".join(f"{key}=..." for key in missing)
        raise RetrievalError(f"no value for {', '.join(missing)}: give {usage} on the command line")


def plain(config: Any) -> dict[str, Any]:
    """Return a composed config as plain dictionaries and lists, its interpolations resolved.

    Raises:
        RetrievalError: it is no mapping.
    """
    container = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else config
    if not isinstance(container, dict):
        name = HydraConfig.get().job.config_name
        raise RetrievalError(f"{container!r} stands in conf/{name}.yaml, or for it, where a mapping is expected")
    return Values({str(key): value for key, value in container.items()})


class Values(dict[str, Any]):
    """Settings by their names; one that is missing is an error that names it."""

    def __missing__(self, key: str) -> Any:
        """Raise :class:`RetrievalError`."""
        raise RetrievalError(f"'{key}' is missing in conf/{HydraConfig.get().job.config_name}.yaml, or what it names")


def path_of(config: DictConfig, key: str) -> Path:
    """Return the path that a setting is, ``~`` expanded; :class:`RetrievalError` if it is no text."""
    value = config.get(key)
    if not isinstance(value, str) or not value:
        raise RetrievalError(f"{key} is {value!r}, which is no path: give one, in quotes if it looks like a number")
    return expanded(value)
