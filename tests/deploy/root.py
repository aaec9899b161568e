"""A root file system in a folder: this host's programs, read-only, under a tree of its own.

It stands in for the base image, so that what a Dockerfile says can be executed without a container
engine: mounts in a namespace of their own, then `chroot`. Needs root.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import join, quote

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_ETC = ("ca-certificates", "hosts", "ld.so.cache", "login.defs", "nsswitch.conf", "resolv.conf")
_ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh",
    "group": "root:x:0:",
    "shadow": "root:*:19000:0:99999:7:::",
    "gshadow": "root:*::",
}
_UNPRIVILEGED = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")


@dataclass(frozen=True)
class Container:
    """How to run a program in a root: as `docker run` and a compose file have it."""

    environment: dict[str, str]
    folder: str
    user: str = "0:0"
    mounts: dict[str, Path] = field(default_factory=dict)
    tmpfs: tuple[str, ...] = ()
    read_only: bool = False
    network: bool = True


@dataclass(frozen=True)
class Root:
    """The tree. `shared` are folders and files of this host that are seen in it, read-only."""

    path: Path
    shared: tuple[Path, ...] = ()

    def make(self) -> None:
        """Make it, with what is in every image: a few files in /etc, and Python in /usr/local."""
        for name in ("dev/shm", "etc", "proc", "sys", "tmp", "root", "local/bin"):
            (self.path / name).mkdir(parents=True)
        for name in filter(lambda name: Path("/etc", name).exists(), _ETC):
            copy = shutil.copytree if Path("/etc", name).is_dir() else shutil.copy
            copy(Path("/etc", name), self.path / "etc" / name)
        for name, entry in _ACCOUNTS.items():
            (self.path / "etc" / name).write_text(f"{entry}\n")
        (self.path / "local/bin/python").symlink_to("/usr/bin/python3")

    def command(self, container: Container, words: Sequence[str]) -> list[str]:
        """The command that runs `words` in it; its process is that of the program in the end."""
        uid, gid = container.user.split(":")
        variables = [f"{name}={value}" for name, value in container.environment.items()]
        enter = ["chroot", str(self.path), "setpriv", f"--reuid={uid}", f"--regid={gid}"]
        enter += _UNPRIVILEGED if uid != "0" else ["--clear-groups"]
        enter += ["env", "--ignore-environment", f"--chdir={container.folder}", *variables, *words]
        script = "\n".join(["set -e", *self._mounts(container), f"exec {join(enter)}"])
        apart = ["--mount", "--propagation", "private", *([] if container.network else ["--net"])]
        return ["unshare", *apart, "sh", "-c", script]

    def run(self, container: Container, words: Sequence[str]) -> None:
        """Run to the end; raises CalledProcessError, with what was printed, if it fails."""
        subprocess.run(self.command(container, words), check=True)

    def _mounts(self, container: Container) -> list[str]:
        here = quote(str(self.path))
        lines = [f"mount --bind {here} {here}"]
        for source in (*map(Path, _SYSTEM), Path(sys.base_prefix), *self.shared):
            lines += self._seen(source)
        lines += [f"mount --bind -o ro {quote(str(self._local()))} {here}/usr/local"]
        lines += [f"mount --bind -o ro /{name} {here}/{name}" for name in ("proc", "sys")]
        lines += [f"mount -t tmpfs -o size=64m tmpfs {here}/dev/shm"]  # noqa: S108 - in the tree
        for name in _DEVICES:
            lines += [f"touch {here}/dev/{name}", f"mount --bind /dev/{name} {here}/dev/{name}"]
        if container.read_only:
            lines += [f"mount -o remount,bind,ro {here}"]
        for target, volume in container.mounts.items():
            lines += [f"mount --bind {quote(str(volume))} {here}{target}"]
        for each in container.tmpfs:
            target, _, options = each.partition(":")
            lines += [f"mount -t tmpfs -o nosuid,nodev,noexec,{options} tmpfs {here}{target}"]
        return lines

    def _local(self) -> Path:
        """Make /usr/local: the Python that runs this, or a link where that is the system's."""
        return self.path / "local" if sys.base_prefix == "/usr" else Path(sys.base_prefix)

    def _seen(self, source: Path) -> list[str]:
        """Lines that show a folder or file of this host in the tree."""
        target = self.path / source.relative_to("/")
        if not source.exists() or (source.is_relative_to("/usr") and source != Path("/usr")):
            return []
        if source.is_symlink():
            if not target.is_symlink():
                target.symlink_to(source.readlink())
            return []
        target.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir(exist_ok=True) if source.is_dir() else target.touch()
        return [f"mount --bind -o ro {quote(str(source))} {quote(str(target))}"]
