"""Lays out the tree of the Debian package from wheels: `python3 packaging/bundle.py WHEELS TREE`. No network, no pip.

    usr/lib/sekisho/                 an environment of its own on Debian's python3.11; nothing else on the machine imports it
    usr/share/sekisho/sbom.cdx.json  CycloneDX 1.5: every distribution inside, and what is linked into their libraries
    usr/share/doc/sekisho/copyright  the licences of all of them, as their own metadata has them
    usr/share/man/                   sekisho(1), a page a verb, sekisho.toml(5)

The same wheels give the same bytes. What a wheel brings besides its library (tests, headers, static libraries, scripts) is
left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from inventory import copyright_text, distributions, sbom  # it stands beside this file

HOME = "usr/lib/sekisho"
SITE = f"{HOME}/lib/python3.11/site-packages"
PYTHON = "/usr/bin/python3.11"
LEFT_OUT = {"numpy": ("tests", "include"), "icalendar": ("tests",)}  # folders that nothing imports at run time
LAUNCHER = f"""#!/{HOME}/bin/python3 -I
import sys
from appliance.cli.__main__ import main
sys.exit(main())
"""


def main(wheels: Path, tree: Path) -> int:
    """Write the tree."""
    site = tree / SITE
    site.mkdir(parents=True)
    for wheel in sorted(wheels.glob("*.whl")):
        unpack(wheel, site)
    environment(tree)
    inside = distributions(site, wheels)
    write(tree / "usr/share/sekisho/sbom.cdx.json", sbom(inside, int(os.environ["SOURCE_DATE_EPOCH"])))
    write(tree / "usr/share/doc/sekisho/copyright", copyright_text(inside, Path(__file__).resolve().parent.parent))
    manual(tree)
    return 0


def unpack(wheel: Path, site: Path) -> None:
    """The library of one wheel, without what nothing imports. Raises ValueError over a name that leads out of it."""
    name = wheel.name.partition("-")[0].lower()
    with zipfile.ZipFile(wheel) as archive:
        for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
            parts = PurePosixPath(entry.filename).parts
            if entry.is_dir():
                continue
            if parts[0].endswith(".data"):
                if parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            if ".." in parts or entry.filename.startswith("/"):
                raise ValueError(f"{wheel.name}: {entry.filename} leads out of it")
            if any(part in LEFT_OUT.get(name, ()) for part in parts[:-1]) or parts[-1].endswith((".a", ".h", ".pxd", ".pyi")):
                continue
            target = site.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))


def environment(tree: Path) -> None:
    """What makes the folder an environment (PEP 405), and the command."""
    home = tree / HOME
    write(home / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n")
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(PYTHON)
    write(home / "bin/sekisho", LAUNCHER)
    (home / "bin/sekisho").chmod(0o755)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/sekisho").symlink_to(f"/{HOME}/bin/sekisho")


def manual(tree: Path) -> None:
    """The manual pages, from the parser of the command in the tree."""
    pages, site = Path(__file__).resolve().with_name("manpages.py"), (tree / SITE).resolve()
    output = tree / "usr/share/man"
    subprocess.run(
        [PYTHON, "-I", "-S", "-B", str(pages), str(site), str(output)], check=True, env=os.environ | {"LC_ALL": "C.UTF-8"}
    )


def write(path: Path, text: str) -> None:
    """A text file, its folders with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
