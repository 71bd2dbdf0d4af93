from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_ceph.cli import app
from monai_ceph.errors import CephError
from monai_ceph.pacs.config import NodeConfig, RetryConfig, SpoolConfig
from monai_ceph.pacs.config_file import read_config

GOOD = """\
ae_title: CEPH
folder: data
accept:
  calling_ae_titles: [PACS]
targets:
  dicom:
    - name: pacs
      ae_title: PACS
      host: pacs.example
      port: 104
"""

POLLED = "sources: {{dicomweb: [{{name: a, url: 'http://a', {}}}]}}"


def read(tmp_path: Path, text: str, **environment: str) -> NodeConfig:
    (tmp_path / "node.yaml").write_text(text)
    return read_config(tmp_path / "node.yaml", environment)


def test_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert (config.port, config.folder) == (11112, tmp_path / "data")
    assert config.targets.dicom[0].objects == ("sr", "gsps")


def test_objects_of_targets(tmp_path: Path) -> None:
    text = GOOD + "      objects: [sc]\n  dicomweb: [{name: web, url: 'http://a', objects: [sr, sc]}]\n"
    config = read(tmp_path, text)
    assert config.targets.dicom[0].objects == ("sc",)
    assert config.targets.objects == {"sr", "sc"}
    with pytest.raises(CephError, match=r"targets\.dicom\.0\.objects\.0: Input should be 'sr', 'gsps', 'sc' or 'pdf'"):
        read(tmp_path, GOOD + "      objects: [dcm]\n")


def test_aliases_that_multiply(tmp_path: Path) -> None:
    """Nine lines that stand for a billion values."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]" for last, name in pairwise("abcdefghi")]
    with pytest.raises(CephError, match=r"node\.yaml, line \d+: more than 10000 values, with those that aliases"):
        read(tmp_path, GOOD + "\n".join(lines))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(CephError, match=r"node\.yaml: larger than 1 MB"):
        read(tmp_path, GOOD + "# comment\n" * 150000)


def test_a_config_that_runs_code(tmp_path: Path) -> None:
    pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
    (tmp_path / "mine.json").write_text('{"tile": {"_target_": "os.system", "command": "true"}}')
    (tmp_path / "node.yaml").write_text(GOOD + "detect: {config: [mine.json]}\n")
    command = ["node", "check", "--config", str(tmp_path / "node.yaml")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "mine.json: tile::_target_ would run Python code" in done.output
    assert "set detect.trusted_config to true" in done.output
    (tmp_path / "node.yaml").write_text(GOOD + "detect: {config: [mine.json], trusted_config: true}\n")
    assert CliRunner().invoke(app, command).exit_code == 0


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine.json").touch()
    text = GOOD.replace("folder: data", "folder: ~/node\ndetect: {config: [~/mine.json]}")
    config = read(tmp_path, text)
    assert config.folder == tmp_path / "home" / "node"
    assert config.detect.config == (tmp_path / "home" / "mine.json",)


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("port: 104", "port: 0", "line 10: targets.dicom.0.port: Input should be greater than or equal to 1"),
        (
            "port: 104",
            "prot: 104",
            "line 7: targets.dicom.0.port: is missing\n{file}, line 10: targets.dicom.0.prot: no",
        ),
        ("folder: data\n", "", "line 1: folder: is missing"),
        ("ae_title: CEPH", "ae_title: THIS TITLE IS TOO LONG", "line 1: ae_title: an AE title has 1 to 16"),
        ("folder: data", "folder: data\nfolder: other", "line 3: folder: is there twice"),
        ("folder: data", "folder: [", "line 4: not YAML"),
        ("[PACS]", "[PACS, '${NOBODY}']", "line 4: accept.calling_ae_titles.1: no environment variable NOBODY"),
        ("[PACS]", "[]", "line 4: accept.calling_ae_titles: Tuple should have at least 1 item"),
        ("[PACS]", "[PACS]\n  tls: {certificate: no.pem, key: no.pem}", "line 5: accept.tls.certificate: "),
        (GOOD, "- 1", "line 1: the file must consist of keys and values"),
        (GOOD, "", "line 1: folder: is missing"),
        (GOOD, "\x00", "not YAML"),
        ("folder: data", "folder: ~nobody-is-called-so/data", "but the home folder is unknown"),
        ("folder: data", "folder: &self [*self]", "an alias (*) contains itself"),
        ("folder: data", f"folder: {'[' * 3000}{']' * 3000}", "lists and keys are nested too deeply"),
        ("targets:", "select: {exclude: '['}\ntargets:", "line 5: select.exclude: not a regular expression"),
        ("targets:", "select: {modalities: []}\ntargets:", "line 5: select.modalities: Tuple should have at least 1"),
        ("targets:", "http: {host: 0.0.0.0, port: 80}\ntargets:", "line 5: http: host 0.0.0.0 can be reached"),
        *(
            (
                "targets:",
                f"sources: {{dicomweb: [{{name: a, url: '{url}'}}]}}\ntargets:",
                f"sources.dicomweb.0.url: {said}",
            )
            for url, said in [
                ("https://", "not a URL such as"),
                ("https:///dicom-web", "not a URL such as"),
                ("http://:8042", "not a URL such as"),
                ("http://pacs:80420", "Port out of range"),
                ("ftp://pacs", "String should match"),
            ]
        ),
        ("targets:", f"{POLLED.format('every_s: 604801')}\ntargets:", "line 5: sources.dicomweb.0.every_s: "),
        ("targets:", f"{POLLED.format('every_s: .inf')}\ntargets:", "line 5: sources.dicomweb.0.every_s: "),
        ("targets:", f"{POLLED.format('every_s: .nan')}\ntargets:", "line 5: sources.dicomweb.0.every_s: "),
        ("targets:", f"{POLLED.format('look_back_days: 36501')}\ntargets:", "sources.dicomweb.0.look_back_days: "),
    ],
)
def test_mistakes_name_the_line_and_the_key(tmp_path: Path, change: str, to: str, said: str) -> None:
    with pytest.raises(CephError) as error:
        read(tmp_path, GOOD.replace(change, to))
    said = said.replace("{file}", str(tmp_path / "node.yaml"))
    assert said in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "node.yaml"))


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    with pytest.raises(CephError) as error:
        read(tmp_path, GOOD.replace("port: 104", "port: -1").replace("host: pacs.example", "host: ''"))
    assert len(str(error.value).splitlines()) == 2


WEB = "targets:\n  dicomweb:\n    - {name: web, url: 'http://pacs', username: ceph, password: '${SECRET}'}\n"


def test_secrets_come_from_the_environment_and_are_not_shown(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("targets")] + WEB
    config = read(tmp_path, text, SECRET="hush")
    password = config.targets.dicomweb[0].password
    assert password is not None
    assert password.get_secret_value() == "hush"
    assert "hush" not in repr(config)
    with pytest.raises(CephError) as error:
        read(tmp_path, text.replace("username: ceph, ", ""), SECRET="hush")
    assert "hush" not in str(error.value)


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("http: {host: 0.0.0.0, port: 80, token: '${SECRET}'}", "http.token"),
        ("sources: {dicomweb: [{name: a, url: 'http://a', token: '${SECRET}'}]}", "sources.dicomweb.0.token"),
        ("sources: {dicomweb: [{name: a, url: 'http://a', username: b, password: '${SECRET}'}]}", "0.password"),
        ("sources: {dicomweb: [{name: a, url: 'http://a', username: '${SECRET}', password: b}]}", "0.username"),
    ],
)
def test_a_secret_that_is_empty_is_none(tmp_path: Path, text: str, key: str, empty: str) -> None:
    with pytest.raises(CephError, match=rf"line 11: .*{re.escape(key)}: is empty"):
        read(tmp_path, GOOD + text, SECRET=empty)


def test_pauses_grow_to_a_limit() -> None:
    retry = RetryConfig(first_s=5, factor=2, longest_s=60)
    assert [retry.pause(attempts) for attempts in (1, 2, 3, 4, 5, 10**6)] == [5, 10, 20, 40, 60, 60]


def test_check(tmp_path: Path) -> None:
    pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
    file = tmp_path / "node.yaml"
    file.write_text(GOOD)
    result = CliRunner().invoke(app, ["node", "check", "--config", str(file)])
    assert (result.exit_code, result.output.strip()) == (0, f"{file}: ok")
    file.write_text(GOOD + "bogus: 1\n")
    result = CliRunner().invoke(app, ["node", "check", "--config", str(file)])
    assert result.exit_code == 2
    assert f"{file}, line 11: bogus: no such key" in result.output
    # nothing was started or made
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("folder: others", "others: neither empty nor the folder of a node"),
        ("folder: node.yaml/data", "node.yaml is not a folder"),
        ("folder: node.yaml", "node.yaml is not a folder"),
        (
            "folder: data\nsources: {dicomweb: [{name: a, url: 'https://a', ca: others/letter.txt}]}",
            "letter.txt: not a file of CA cert",
        ),
        ("folder: data\nport: 8080\nhttp: {port: 8080}", "http.port and port are both 8080"),
        ("folder: data\ndetect: {device: 'cuda:0'}", "detect.device is cuda:0, but this machine has no usable GPU"),
    ],
)
def test_what_check_finds_before_a_node_starts(
    tmp_path: Path, change: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "letter.txt").write_text("mine")
    keys = {line.split(":")[0] for line in change.splitlines()}
    kept = [line for line in GOOD.splitlines() if line.split(":")[0] not in keys]
    file = tmp_path / "node.yaml"
    file.write_text("\n".join([*kept, change]))
    result = CliRunner().invoke(app, ["node", "check", "--config", str(file)])
    assert result.exit_code == 2
    assert said in result.output
    assert [path.name for path in (tmp_path / "others").iterdir()] == ["letter.txt"]


def test_the_folder_of_a_node_is_taken_again(tmp_path: Path) -> None:
    pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
    from monai_ceph.pacs.check import check_folder
    from monai_ceph.pacs.spool import Spool

    folder = Spool(tmp_path / "data" / "node", SpoolConfig()).folder
    (folder / "notes.txt").write_text("restored from the backup")
    check_folder(folder)
    made = [folder, *(each for each in folder.rglob("*") if each.is_dir())]
    assert {each.stat().st_mode & 0o777 for each in made} == {0o700}


@pytest.mark.parametrize(
    ("mode", "said"), [(0o700, ""), (0o750, "(mode 750). Run chmod 700"), (0o755, "(mode 755). Run chmod")]
)
def test_a_folder_that_others_may_look_into(tmp_path: Path, mode: int, said: str) -> None:
    pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
    file = tmp_path / "node.yaml"
    file.write_text(GOOD)
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    result = CliRunner().invoke(app, ["node", "check", "--config", str(file)])
    assert result.exit_code == 0
    assert f"{file}: ok" in result.output
    assert said in result.output
    assert ("other users can read it" in result.output) is bool(said)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
    (tmp_path / "a.pem").write_text("nothing")
    file = tmp_path / "node.yaml"
    file.write_text(GOOD.replace("[PACS]", "[PACS]\n  tls: {certificate: a.pem, key: a.pem}"))
    result = CliRunner().invoke(app, ["node", "check", "--config", str(file)])
    assert result.exit_code == 2
    assert "a certificate or key cannot be used" in result.output
