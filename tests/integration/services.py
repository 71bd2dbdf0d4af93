"""The units of deploy/ under a real systemd, in namespaces of its own: it sees no other units, and nobody sees it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from nodes import RunningNode, listens, running, wait_until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NODE, REVIEW = "monai-ceph-node", "monai-ceph-review"
SYSTEMD = Path("/lib/systemd/systemd")
# what a unit waits for; the real ones would start the machine's services
_TARGETS = ("basic", "multi-user", "network-online", "shutdown", "sysinit")
_SPACES = ("--fork", "--pid", "--mount", "--mount-proc", "--uts", "--ipc", "--cgroup", "--kill-child")


def _group() -> Path | None:
    """Return the folder of this process's control group, version 2."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    found = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"]
    own = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    return found[0] / own[0].strip("/") if found and own else None


@cache
def can_run() -> bool:
    """Whether a systemd can be started here: root may do so, unless it is in a container."""
    group = _group() if sys.platform == "linux" else None
    if group is None or not SYSTEMD.exists() or shutil.which("nsenter") is None or os.geteuid():
        return False
    probe = "mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -t overlay -o lowerdir=/etc:/usr overlay /etc"
    made = group / f"probe-{os.getpid()}"
    with suppress(OSError):
        made.mkdir()
        try:
            return not subprocess.run(
                ["unshare", *_SPACES, "sh", "-c", probe], capture_output=True, check=False
            ).returncode
        finally:
            made.rmdir()
    return False


class Services:
    """A running systemd with a unit of deploy/.

    Attributes:
        folder: has ``etc`` (the configuration) and ``lib`` (the state, and the log of the unit).
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder, self._process = folder, process

    def is_up(self) -> bool:
        """Whether systemd takes commands."""
        return self._run("is-active", "multi-user.target").returncode == 0

    def control(self, *command: str) -> str:
        """Run systemctl, and return what it says."""
        done = self._run(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}\n{self._state(command[-1])}"
        return done.stdout

    def check_stopped(self, unit: str) -> None:
        """Check that a unit ended well, and was never restarted."""
        values = self.values(unit, "NRestarts", "Result")
        assert (values["NRestarts"], values["Result"]) == ("0", "success")

    def _state(self, unit: str) -> str:
        # without a journal, the console has the step at which a start failed
        status = self._run("status", "--no-pager", "--full", unit).stdout
        return "\n".join((status, (self.folder / "systemd.log").read_text(), self.log(unit)))

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        # unshare waits for systemd, its only child
        child = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().strip() or "0"
        inside = ["nsenter", "--target", child, "--mount", "--pid", "systemctl", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False)

    def values(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of a unit."""
        lines = self.control("show", unit, f"--property={','.join(names)}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def log(self, unit: str) -> str:
        """Return what a unit said."""
        file = self.folder / "lib" / f"{unit}.log"
        return file.read_text() if file.exists() else ""


@contextmanager
def services(folder: Path, unit: str, configuration: dict[str, Any], arguments: str = "") -> Iterator[Services]:
    """Have a systemd with a unit of deploy/, which is not started yet.

    Args:
        folder: a new one for this process; what lies in ``folder/lib`` is in /var/lib.
        unit: name in deploy/, without its suffix.
        configuration: /etc/monai-ceph/node.yaml.
        arguments: added to the command of the unit.
    """
    group = _group()
    assert group is not None
    group /= f"monai-ceph-{os.getpid()}"
    for name in ("etc", "lib", "units", "opt/monai-ceph/bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in _TARGETS:
        (folder / "units" / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    shutil.copy(DEPLOY / f"{unit}.service", folder / "units")
    main = next(line for line in _lines(unit) if line.startswith("ExecStart="))
    # there is no journal here
    log = f"append:/var/lib/{unit}.log"
    extra = folder / "units" / f"{unit}.service.d"
    extra.mkdir()
    (extra / "test.conf").write_text(
        f"[Service]\nExecStart=\n{main} {arguments}\nStandardOutput={log}\nStandardError={log}\n"
    )
    (folder / "etc" / "node.yaml").write_text(yaml.safe_dump(configuration).replace(str(ROOT), "/opt/source"))
    # where this test's Python and this source lie, and a thread as other tests have
    places = "LD_LIBRARY_PATH=/opt/python/lib\nPYTHONPATH=/opt/source\n"
    (folder / "etc" / "secrets").write_text(f"{places}OMP_NUM_THREADS=1\n")
    _installation(folder / "opt" / "monai-ceph")
    (folder / "start.sh").write_text(_script(folder))
    group.mkdir()
    start = shlex.join(["unshare", *_SPACES, "bash", str(folder / "start.sh")])
    command = ["bash", "-c", f"echo $$ >{group}/cgroup.procs; exec {start}"]
    with (folder / "systemd.log").open("wb") as log_file:
        process = subprocess.Popen(command, stdout=log_file, stderr=log_file)
    systemd = Services(folder, process)
    try:
        wait_until(lambda: systemd.is_up() or process.poll() is not None)
        assert process.poll() is None, (folder / "systemd.log").read_text()
        yield systemd
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            wait_until(lambda each=each: "populated 0" in (each / "cgroup.events").read_text())
            each.rmdir()
        group.rmdir()


class NodeService(RunningNode):
    """The node's unit, with the interface of a node that runs as a process of its own."""

    def __init__(self, folder: Path, values: dict[str, Any], under: Services) -> None:
        state = under.folder / "lib"
        super().__init__(folder, values | {"folder": str(state / "monai-ceph")})
        self.log, self._services = state / f"{NODE}.log", under

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._services.control("start", NODE)
        wait_until(lambda: listens(self.port) or not self._is_active(), 600)
        assert self._is_active(), self.log.read_text()

    def kill(self) -> None:
        """Leave the end to its systemd."""

    def stop(self) -> int:
        """Stop it, and return its exit code."""
        self._services.control("stop", NODE)
        # commands that the test gives must own the files
        for path in (self.folder, *self.folder.rglob("*")):
            shutil.chown(path, os.geteuid())
        self._services.check_stopped(NODE)
        return int(self._services.values(NODE, "ExecMainStatus")["ExecMainStatus"])

    def _is_active(self) -> bool:
        return self._services.values(NODE, "ActiveState")["ActiveState"] == "active"


@contextmanager
def documented_node(folder: Path, values: dict[str, Any]) -> Iterator[RunningNode]:
    """Run the real node by its unit, or as a process of its own where no systemd can be started."""
    if not can_run():
        config = str(folder / "node.yaml")
        with running(folder, values, "-m", "monai_ceph", "node", "run", "--config", config) as node:
            yield node
        return
    with services(folder / "systemd", NODE, values | {"folder": "/var/lib/monai-ceph"}) as under:
        node = NodeService(folder, values, under)
        node.start()
        yield node


def _lines(unit: str) -> list[str]:
    """Return the lines of a unit, with continued ones joined."""
    return (DEPLOY / f"{unit}.service").read_text().replace("\\\n", " ").splitlines()


def _installation(target: Path) -> None:
    """Write a virtual environment that has what this one has, at a place that every user can read."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (target / "pyvenv.cfg").write_text(f"home = /opt/python/bin\nversion = {sysconfig.get_python_version()}\n")
    (target / "lib" / version / "site-packages").mkdir(parents=True)
    (target / "bin" / "python").symlink_to(f"/opt/python/bin/{version}")
    program = target / "bin" / "monai-ceph"
    program.write_text(
        '#!/opt/monai-ceph/bin/python\nfrom monai_ceph.cli import run\n\nif __name__ == "__main__":\n    run()\n'
    )
    for path in (target.parent, target, target / "bin", *target.rglob("lib*"), program):
        path.chmod(0o755)


def _script(folder: Path) -> str:
    """Return the program that prepares the file system for systemd, and becomes it."""
    packages = sysconfig.get_path("purelib")
    inside = f"/opt/monai-ceph/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    return f"""set -eu
# that of the test may be for its own files
umask 022
mount --make-rprivate /
cd {shlex.quote(str(folder))}
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/lock /run/etc /run/work /run/opt
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work overlay /etc
echo 'monai-ceph:x:10001:10001::/nonexistent:/bin/false' >>/etc/passwd
echo 'monai-ceph:x:10001:' >>/etc/group
mkdir /etc/monai-ceph
cp etc/* /etc/monai-ceph
chmod go+r /etc/monai-ceph/node.yaml
mount --bind lib /var/lib
chmod 755 lib
cp -r opt /run
chmod -R go+rX /run/opt
mkdir /run/opt/python /run/opt/source
mount --rbind {shlex.quote(sys.base_prefix)} /run/opt/python
mount --bind {shlex.quote(str(ROOT))} /run/opt/source
mount --bind {shlex.quote(packages)} /run{inside}
mount --rbind /run/opt /opt
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export SYSTEMD_UNIT_PATH="$PWD/units" container=test
exec {SYSTEMD} --system --unit=multi-user.target --log-target=console --show-status=no
"""
