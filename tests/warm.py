"""A Python that has already imported what stages import from other projects.

Tests that run the graph start Python hundreds of times, and most of their time would go into importing torch, pandas
and DVC again. Here one process imports them, and forks for each ``python -m``: module, arguments, folder, environment
and streams are those that were asked for, and what is of this project the fork imports itself, as it is by then. DVC's
lock is read and written faster, see :func:`quick_lock`.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

LIBRARIES = """
    dvc.cli dvc.repo dvc.commands.repro hydra jaxtyping jinja2 matplotlib.figure matplotlib.backends.backend_agg numba
    numpy pandas PIL.Image pydantic scipy.stats skimage.feature sklearn.datasets torch torchvision tqdm vl_convert yaml
"""
# Named python: it asks for a fork, waits for its end and ends alike. What is not the project or DVC, Python runs.
ASKING = """#!{python} -IS
import json, os, socket, sys
if sys.argv[1:2] != ["-m"] or sys.argv[2].partition(".")[0] not in ("dvc", "pipeline", "tests"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    socket.send_fds(connection, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    connection.sendall(asked)
    status = connection.recv(1)
sys.exit(status[0] if status else "the fork is gone")
"""


@contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """Yield a folder whose ``python`` starts at once, for as long as this lasts."""
    python, address = folder / "python", str(folder / "asked")
    command = [sys.executable, __file__, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()  # when it is ready
        python.write_text(ASKING.format(python=sys.executable, address=address))
        python.chmod(0o755)
        yield folder
        process.stdin.close()


def quick_lock() -> None:
    """Let DVC read and write its lock by the parser and the emitter in C, which keep what is in it but not line breaks.

    Those in Python, for comments that it has none of, take a third of a run of a small graph.
    """
    from dvc import dvcfile
    from dvc.utils.serialize import load_yaml
    from dvc.utils.serialize._common import _dump_data
    from ruamel.yaml import YAML

    usual = dvcfile.modify_yaml

    def write(data: object, stream: TextIO) -> None:
        yaml = YAML(typ="safe")
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False
        yaml.Representer.add_representer(OrderedDict, yaml.Representer.represent_dict)
        yaml.dump(data, stream)

    @contextmanager
    def modify(path: str, fs: Any = None) -> Iterator[dict[str, Any]]:
        if not path.endswith("dvc.lock"):
            with usual(path, fs=fs) as data:
                yield data
            return
        data = load_yaml(path, fs=fs) if Path(path).exists() else {}
        yield data
        _dump_data(path, data, dumper=write, fs=fs)

    dvcfile.modify_yaml = modify


def serve(address: str) -> None:
    """Import the libraries and fork for all who ask, until the standard input ends."""
    for library in LIBRARIES.split():
        import_module(library)
    quick_lock()
    gc.collect()
    gc.freeze()  # what is there already no fork needs to look through
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        print("ready", flush=True)
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if not os.fork():
                listening.close()
                answer(connection)
            connection.close()
    os._exit(0)


def answer(connection: socket.socket) -> None:
    """Fork once more to run what is asked for, and say how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, streams, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as file:
        (python, _, module, *arguments), folder, environment = json.loads(file.read(int.from_bytes(length, "big")))
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        connection.sendall(bytes([os.waitstatus_to_exitcode(status) % 256]))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # As Python has it while it looks for the module.
    named = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1], sys.argv, sys.executable = [folder, *named], ["-m", *arguments], python
    run(module)


def run(module: str) -> None:
    """Run a module and end as Python does, but without taking everything apart first."""
    status: object = None
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    serve(sys.argv[1])
