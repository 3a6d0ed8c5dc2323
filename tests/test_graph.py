"""dvc.yaml against the code: what each stage imports and reads is what it declares."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from pipeline.encoders.made_of import code_of
from pipeline.encoders.sources import SOURCES
from pipeline.frame.code import Code
from pipeline.frame.experiment import check_names, read_experiment
from pipeline.frame.tracked import INVISIBLE, LEAVES, keys_of
from tests.conftest import TOP

STAGES = yaml.safe_load((TOP / "dvc.yaml").read_text())["stages"]
LAST = list(STAGES)[-1]
RESULTS = STAGES.pop("results")  # no command of this project, but a line that says where to look
# What these say must not change a result: how Hydra behaves, and how extraction runs.
UNTRACKED = ("base", "runtime/default")


def imported_modules(module: Path) -> set[Path]:
    """Return the files of pipeline/ that a file imports, directly or not, lazily imported ones too."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom):
                above = path.relative_to(TOP).parts[: -node.level] if node.level else ()  # from .labels import ...
                source = ".".join([*above, *([node.module] if node.module else [])])
                names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                if name.startswith("pipeline."):
                    waiting += [file for file in files_of(name)]
    return found


def files_of(name: str) -> list[Path]:
    """Return a module's file and those of the packages around it."""
    parts = name.split(".")
    # From 2: pipeline/__init__.py does nothing that a stage could see; as a dep an edit would extract everything anew.
    files = [TOP.joinpath(*parts[:end], "__init__.py") for end in range(2, len(parts) + 1)]
    return [file for file in [*files, TOP.joinpath(*parts).with_suffix(".py")] if file.is_file()]


def declared_params(stage: str) -> dict[str, list[str] | None]:
    """Return the config files that a stage declares: the keys, or None for all of them."""
    entries = [entry for entry in STAGES[stage].get("params", []) if isinstance(entry, dict)]
    return {path: keys for entry in entries for path, keys in entry.items()}


def module_of(stage: str) -> str:
    """Return the module that a stage runs; two stages may run one, with other arguments."""
    found = re.match(r"python -m pipeline\.(\w+)", STAGES[stage]["cmd"])
    assert found
    return found[1]


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"check"}))
def test_a_stage_depends_on_the_code_that_it_is_made_of(stage: str) -> None:
    code = [dep for dep in STAGES[stage]["deps"] if dep.startswith(("data/code", "pipeline/"))]
    # What an encoder alone is made of comes to its extraction with its weights.
    sources = ["data/code/sources.json"] if stage == "weights" else []
    own = [dep for dep in code if not dep.startswith("pipeline/views/templates/")]
    assert own == [*sources, f"data/code/{module_of(stage)}.json"]


@pytest.fixture(scope="module")
def code() -> Code:
    return Code(TOP)


def names_of(paths: set[Path]) -> set[str]:
    parts = {path.relative_to(TOP).with_suffix("").parts for path in paths}
    return {".".join(part for part in some if part != "__init__") for some in parts}


@pytest.mark.parametrize("command", sorted(path.stem for path in (TOP / "pipeline").glob("[!_]*.py")))
def test_the_code_of_a_command_is_all_that_it_imports(code: Code, command: str) -> None:
    expected = imported_modules(TOP / f"pipeline/{command}.py")
    assert set(code.behind([f"pipeline.{command}"])) == names_of(expected) - {"pipeline"}


@pytest.mark.parametrize("source", SOURCES)
def test_an_extraction_is_made_of_its_own_source_only(code: Code, source: str) -> None:
    alone = code_of({"source": source, "factory": "tests.own_networks:resnet20"})
    made = {**code.behind(["pipeline.extract"]), **alone}
    assert SOURCES[source] in alone and not {name for name in made if name.startswith("tests")}
    # What was made elsewhere is refused, or read, by the stage itself.
    assert not (set(SOURCES.values()) - {SOURCES[source], SOURCES["precomputed"]}) & set(made)
    assert not {room for room in ("views", "results", "datasets", "search") if f"pipeline.{room}" in made}


def test_the_last_stage_says_where_to_look() -> None:
    # What no stage depends on runs in the order of the file.
    assert LAST == "results" and set(RESULTS) == {"desc", "cmd", "deps"}
    outs = [out for stage in STAGES.values() for out in stage.get("outs", [])]
    assert set(RESULTS["deps"]) <= {out if isinstance(out, str) else next(iter(out)) for out in outs}
    assert all(dep in RESULTS["cmd"] for dep in RESULTS["deps"])


def test_the_page_depends_on_all_that_it_is_made_with() -> None:
    deps = STAGES["page"]["deps"]
    assert {"plots/report/results", "plots/report/thumbnails"} <= set(deps)  # so that dvc repro page makes them too
    declared = [dep for dep in deps if dep.startswith("pipeline/views/templates/")]
    templates = TOP / "pipeline/views/templates"
    used = set(re.findall(r'"([\w./]+)"\|inlined', (templates / "report/page.html").read_text()))
    assert declared == ["pipeline/views/templates/look.css", "pipeline/views/templates/report"]
    assert used | {"report/page.html"} == {
        "look.css",
        *(f"report/{path.name}" for path in (templates / "report").iterdir()),
    }


# What no result can depend on: names and places, which dvc.yaml has too, the memory for scores, and what a stage that
# runs the same module as another writes besides.
def is_place(key: str, value: object) -> bool:
    return key == "memory" or "${" in str(value) or (isinstance(value, str) and ("/" in value or value == "features"))


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_is_declared(stage: str) -> None:
    """Of each stage's own config every key, of each group that it composes the file."""
    module = module_of(stage)
    choices = {"encoder": "hog", "dataset": "digits", "ranking": "k_reciprocal", "search": "hnsw"}
    groups = [group for group in choices if f"{group}=${{item" in STAGES[stage]["cmd"]]
    chosen = [f"{group}={choices[group]}" for group in groups]
    chosen += [word for word in STAGES[stage]["cmd"].split()[3:] if "$" not in word]
    with initialize_config_dir(str(TOP / "conf"), version_base="1.3"):
        config = compose(module, overrides=chosen, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    expected: dict[str, list[str] | None] = {}
    # What the defaults of its config choose would not be seen to change: the command names it.
    defaults = yaml.safe_load((TOP / f"conf/{module}.yaml").read_text())["defaults"]
    named = {word.partition("=")[0] for word in STAGES[stage]["cmd"].split()[3:]}
    assert {key for entry in defaults if isinstance(entry, dict) for key in entry} <= {
        *named,
        "runtime",
        "override hydra/job_logging",
    }
    composed = {group for group in config.hydra.runtime.choices if not group.startswith("hydra/")}
    for group in composed:
        choice = config.hydra.runtime.choices[group]
        # A group set to null by the stage's own config gives only its name.
        if f"{group}/{choice}" not in UNTRACKED and config[group] is not None:
            name = f"${{item.{group}}}" if group in groups else choice
            expected[f"conf/{group}/{name}.yaml"] = None
    if stage == "rerank":  # gets its steps from a stage that leaves the title out, as extract gets its encoder
        del expected["conf/ranking/${item.ranking}.yaml"]
        assert "data/rankings/${item.ranking}.json" in STAGES[stage]["deps"]
    written = yaml.safe_load((TOP / f"conf/{module}.yaml").read_text())
    own = [key for key, value in written.items() if key not in {"defaults", *composed} and not is_place(key, value)]
    if own and stage != "check":
        expected[f"conf/{module}.yaml"] = own
    assert {path: keys and set(keys) for path, keys in declared_params(stage).items()} == {
        path: keys and set(keys) for path, keys in expected.items()
    }


def test_what_shows_titles_depends_on_them_and_what_hands_a_config_on_writes_them() -> None:
    for stage, entry in STAGES.items():
        shows = "read_titles(" in (TOP / f"pipeline/{module_of(stage)}.py").read_text()
        assert ("data/titles" in entry["deps"]) == shows
    outs = {stage: [out for out in entry.get("outs", []) if "data/titles" in out] for stage, entry in STAGES.items()}
    groups = {"weights": "encoder", "prepare": "dataset", "recipe": "ranking"}
    expected = {stage: [f"data/titles/{group}/${{item.{group}}}.json"] for stage, group in groups.items()}
    assert {stage: found for stage, found in outs.items() if found} == expected


def test_measured_costs_are_written_by_extraction_and_no_dep() -> None:
    # All outs are cached, else DVC would keep no extraction in its run-cache.
    assert STAGES["extract"]["outs"] == [
        "features/${item.encoder}/${item.dataset}",
        "metrics/costs/${item.encoder}/${item.dataset}.json",
    ]
    assert not [dep for stage in STAGES.values() for dep in stage["deps"] if dep.startswith("metrics/costs")]


@pytest.mark.parametrize("path", sorted((TOP / "conf").rglob("*.yaml")), ids=lambda path: path.stem)
def test_no_key_is_one_that_the_run_cache_overlooks(path: Path) -> None:
    assert not set(INVISIBLE) & set(keys_of(yaml.safe_load(path.read_text())))


def test_the_run_cache_overlooks_just_these_keys() -> None:
    """If this fails after an update of DVC, the rule in pipeline/frame/tracked.py may be dropped or must be widened."""
    from dvc.stage.cache import _get_cache_hash

    def key(**params: object) -> str:
        return str(_get_cache_hash({"cmd": "c", "params": {"conf/x.yaml": params}}, key=True))

    assert all(key(**{name: 1}) == key(**{name: 2}) for name in INVISIBLE)
    assert key(side=1) != key(side=2)


def test_what_is_not_tracked_is_only_how_hydra_behaves() -> None:
    assert set(yaml.safe_load((TOP / "conf/base.yaml").read_text())) == {"hydra"}
    for path in (TOP / "conf").glob("*.yaml"):
        defaults = yaml.safe_load(path.read_text()).get("defaults", [])
        plain = {entry if isinstance(entry, str) else next(iter(entry)) for entry in defaults}
        assert plain <= {
            "base",
            "_self_",
            *LEAVES,
            "experiment",
            "runtime",
            "sheet",
            "style",
            "override hydra/job_logging",
        }


# How stages run is not tracked, so that it may inherit.
LEAF_FILES = sorted(path for path in (TOP / "conf").glob("*/*.yaml") if path.parent.name != "runtime")


@pytest.mark.parametrize("path", LEAF_FILES, ids=lambda path: path.stem)
def test_a_leaf_config_inherits_nothing(path: Path) -> None:
    assert "defaults" not in yaml.safe_load(path.read_text())


def test_only_extraction_imports_torch() -> None:
    """In one process, which says after which of them it is there."""
    modules = sorted({module_of(stage) for stage in STAGES} - {"extract"})
    code = (
        "import importlib, sys\n"
        f"for name in {modules}:\n"
        "    importlib.import_module(f'pipeline.{name}')\n"
        "    assert 'torch' not in sys.modules, f'{name} imports torch'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_name_in_params_has_its_yaml() -> None:
    check_names(read_experiment(TOP / "params.yaml"), TOP / "conf")


def test_the_lock_has_versions_and_hashes_only() -> None:
    text = (TOP / "requirements.lock").read_text()
    assert "://" not in text and "--index" not in text
    for requirement in text.split("\n\n"):
        assert "==" in requirement
    assert text.count("--hash=sha256:") > text.count("==")
