"""What a release says about itself, and a checkout whose links are text files."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

import monai_ceph
from monai_ceph import __version__, folders
from monai_ceph.commands.label import label
from monai_ceph.commands.review import serve

ROOT = Path(__file__).parents[1]
LINKS = ("bundles", "transforms")

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = None


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git checks out where links are not supported: files that name their targets."""
    target = tmp_path_factory.mktemp("checkout") / "monai-ceph"
    target.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    ignored = shutil.ignore_patterns("__pycache__", *LINKS)
    shutil.copytree(ROOT / "monai_ceph", target / "monai_ceph", ignore=ignored, symlinks=True)
    for name in LINKS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        (target / "monai_ceph" / name).write_text(f"../{name}")
    return target


def wheel(source: Path, out: Path, **environment: str) -> ZipFile:
    """Build a wheel, without downloads."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools is older than 77")
    program = f"import setuptools.build_meta as hook; hook.build_wheel({str(out)!r})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=source,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("*.whl")
    return ZipFile(file)


def test_the_only_links_are_those_that_the_package_does_without() -> None:
    found = [path for path in (ROOT / "monai_ceph").rglob("*") if path.is_symlink()]
    assert [path.relative_to(ROOT / "monai_ceph").as_posix() for path in sorted(found)] == list(LINKS)
    assert (ROOT / "monai_ceph" / "zoo" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_a_wheel_from_a_checkout_without_links_has_everything(checkout: Path, tmp_path: Path) -> None:
    with wheel(checkout, tmp_path) as built:
        inside = {name for name in built.namelist() if not name.split("/")[0].endswith(".dist-info")}
        (metadata,) = (name for name in built.namelist() if name.endswith(".dist-info/METADATA"))
        text = built.read(metadata).decode()
    sources = {
        f"{prefix}{path.relative_to(ROOT).as_posix()}"
        for prefix, folder in (("", "monai_ceph"), ("monai_ceph/", "transforms"), ("monai_ceph/", "bundles"))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # in a checkout with links, both names lead to the same files
    assert inside == {name for name in sources if "monai_ceph/monai_ceph" not in name}
    # no address was given, so the page has no relative links and no pictures that would be missing
    assert "# monai-ceph" in text
    assert not re.search(r"\]\((?!https?://|#)", text)
    assert "Project-URL" not in text


def test_with_an_address_links_are_absolute(checkout: Path, tmp_path: Path) -> None:
    with wheel(checkout, tmp_path, SOURCE_URL="https://example.org/ceph", SOURCE_REVISION="v1") as built:
        (metadata,) = (name for name in built.namelist() if name.endswith(".dist-info/METADATA"))
        text = built.read(metadata).decode()
    assert "(https://example.org/ceph/raw/v1/docs/images/overlay.png)" in text
    assert "(https://example.org/ceph/blob/v1/docs/how-to/review.md)" in text
    assert "Project-URL: Source, https://example.org/ceph\n" in text
    assert not re.search(r"\]\((?!https?://|#)", text)


def test_a_checkout_without_links_runs(checkout: Path) -> None:
    program = (
        "import monai_ceph, monai_ceph.transforms as transforms; from monai_ceph import folders, inference_config;"
        "print(monai_ceph.__file__, transforms.__file__, folders.BUNDLES, folders.TRANSFORMS, sep='\\n');"
        "inference_config.inference_config()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = ("monai_ceph/__init__.py", "transforms/__init__.py", "bundles", "transforms")
    assert done.stdout.splitlines() == [str(checkout / place) for place in expected]


def test_both_folders_are_found_here() -> None:
    for name, folder in zip(LINKS, (folders.BUNDLES, folders.TRANSFORMS), strict=True):
        assert folder.resolve() == (ROOT / name).resolve()
        assert folder.is_relative_to(Path(monai_ceph.__file__).parents[1])


def test_versions_agree() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    assert yaml.safe_load((ROOT / "deploy" / "conda" / "recipe.yaml").read_text())["context"]["version"] == __version__
    assert yaml.safe_load((ROOT / "deploy" / "map" / "app.yaml").read_text())["application"]["version"] == __version__


@pytest.mark.skipif(tomllib is None, reason="tomllib comes with Python 3.11")
def test_the_recipe_for_conda_has_the_dependencies_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    run = yaml.safe_load((ROOT / "deploy" / "conda" / "recipe.yaml").read_text())["requirements"]["run"]
    names = {re.sub(r"\[.*\]|>=.*", "", each) for each in project["dependencies"]}
    ours = names - {"torch"} | {"pytorch", "python", "fire"}
    assert {each.split()[0] for each in run} == ours


def test_locks_have_a_hash_for_every_package() -> None:
    for name in ("lock.txt", "lock-optional.txt", "release.txt"):
        text = (ROOT / "requirements" / name).read_text()
        pins = re.split(r"\n(?=\S)", text.strip())
        assert len(pins) > 20
        assert [pin for pin in pins if not re.match(r"[\w.-]+(\[\w+\])?==\S+.*\n +--hash=sha256:", pin)] == []


def test_actions_of_the_release_are_pinned_to_commits() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert len(used) >= 8
    assert [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", each)] == []
    # only the job that publishes may do so, and it runs no code of the repository
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert all("run" not in step for step in jobs["publish"]["steps"])


def test_a_release_stops_at_known_vulnerabilities_and_has_a_bill_of_materials() -> None:
    """The steps are targets of make, so that they can be run by hand."""
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]["build"]["steps"]
    commands = [step.get("run", "") for step in steps]
    used = [step.get("uses", "").partition("@")[0] for step in steps]
    (audit,) = (at for at, command in enumerate(commands) if command.startswith("make audit"))
    (bill,) = (at for at, command in enumerate(commands) if command.startswith("make sbom"))
    assert audit < bill < used.index("actions/attest-sbom")
    assert 'WHEEL="$(ls dist/*.whl)"' in commands[bill]
    rules = (ROOT / "Makefile").read_text()
    tools = (ROOT / "requirements" / "release.in").read_text().split()
    assert "pip-audit --strict" in rules
    assert "cyclonedx-py environment" in rules
    assert {"pip-audit", "cyclonedx-bom"} <= set(tools)
    file = steps[used.index("actions/attest-sbom")]["with"]["sbom-path"]
    assert f"--output-file {file}\n" in rules
    assert "bill['metadata']['component']['version'] = version('monai-ceph')" in rules


def test_the_container_starts_from_a_digest() -> None:
    text = (ROOT / "deploy" / "Containerfile").read_text()
    sources = [line.split()[1] for line in text.splitlines() if line.startswith("FROM ")]
    assert re.fullmatch(r"docker\.io/library/python:3\.12-slim-bookworm@sha256:[0-9a-f]{64}", sources[0])
    # all further stages are made of this one
    assert set(sources[1:]) == {"base"}
    assert "USER 10001\n" in text
    (check,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (.*)$", text, re.MULTILINE)
    # no port: the node's configuration has it
    assert json.loads(check) == ["monai-ceph", "node", "health", "--config", "/etc/monai-ceph/node.yaml"]
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {(each["package-ecosystem"], each["directory"]) for each in updates} >= {
        ("docker", "/deploy"),
        ("github-actions", "/"),
    }


def test_makefile_and_container_install_the_same_torch() -> None:
    (wanted,) = re.findall(r"^TORCH := (torch==\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f'"{wanted}"' in (ROOT / "deploy" / "Containerfile").read_text()


def test_the_policy_names_the_ports_that_listen() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    node = yaml.safe_load((ROOT / "deploy" / "node.yaml").read_text())
    ports = {"node`, DICOM": node["port"], "node`, HTTP": node["http"]["port"], "review`": 8010, "label`": 8000}
    for name, port in ports.items():
        assert f"| `{name} | {port} |" in text
    for command, port in ((serve, 8010), (label, 8000)):
        assert inspect.signature(command).parameters["port"].default == port
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / link).exists(), link
