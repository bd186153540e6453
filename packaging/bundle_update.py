"""Makes an update bundle for closed networks: `make bundle BUNDLE_KEY=FILE`, or this file with `make|test-key|public`.

    dist/sekisho-update_VERSION_ARCH/      manifest.json, manifest.sig, the package and those it needs: what goes on the stick
    dist/sekisho-update_VERSION_ARCH.tar   the same, for the way to the stick

The key that signs is an Ed25519 key in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` writes it, in a file that only
its owner reads. The same packages, key and SOURCE_DATE_EPOCH give the same octets. The form: appliance/host/upkeep/bundle.py.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from appliance.errors import SekishoError
from appliance.host.upkeep.bundle import DOMAIN, MANIFEST, PACKAGE, SIGNATURE, Listed, manifest, stage
from appliance.host.upkeep.dpkg import Package, package
from appliance.host.upkeep.update_keys import Key


def main() -> int:
    """One of three things; 2 and one line where it cannot be done."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    does = p.add_subparsers(dest="does", required=True)
    made = does.add_parser("make", help="make a bundle")
    made.add_argument("--key", required=True, type=Path, help="the private key, PEM")
    made.add_argument("--name", default="release", help="what people call the key")
    made.add_argument("--out", required=True, type=Path, help="the folder that the bundle's folder goes into")
    made.add_argument("packages", nargs="+", type=Path, help="package files, or folders of them")
    key = does.add_parser("test-key", help="make a key, to try it out")
    key.add_argument("key", type=Path)
    public = does.add_parser("public", help="print what `sekisho update trust` takes")
    public.add_argument("--name", default="release", help="what people call the key")
    public.add_argument("key", type=Path)
    arguments = p.parse_args()
    try:
        if arguments.does == "test-key":
            test_key(arguments.key)
        elif arguments.does == "public":
            print(public_of(private(arguments.key), arguments.name).line(), end="")
        else:
            make(arguments.packages, private(arguments.key), arguments.name, arguments.out)
    except (ValueError, OSError, SekishoError) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 2
    return 0


def make(sources: list[Path], key: Ed25519PrivateKey, name: str, out: Path) -> Path:
    """Write folder and tar, and read the folder back as a box would. Raises ValueError, OSError, SekishoError."""
    found = [package(path) for path in packages(sources)]
    ours = [one for one in found if one.name == PACKAGE]
    if len(ours) != 1:
        held = ", ".join(one.path.name for one in ours) or "none"
        raise ValueError(f"one package of {PACKAGE} is needed, there are: {held}; next step: make deb, or name one with DEB=FILE")
    strange = [one for one in found if one.arch not in {ours[0].arch, "all"}]
    if strange:
        raise ValueError(f"{strange[0].path}: it is for {strange[0].arch}, the bundle for {ours[0].arch}")
    now = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    folder = out / f"{PACKAGE}-update_{ours[0].version.replace(':', '%3a')}_{ours[0].arch}"
    fill(folder, found, ours[0], key, now)
    back = folder.with_name(f".{folder.name}.back")
    shutil.rmtree(back, ignore_errors=True)
    back.mkdir(mode=0o700)
    try:
        stage(folder, back, [public_of(key, name)])
    finally:
        shutil.rmtree(back)
    packed = folder.with_name(f"{folder.name}.tar")
    with tarfile.open(packed, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folder.iterdir()):
            row = tarfile.TarInfo(f"{folder.name}/{path.name}")
            row.size, row.mtime, row.mode = path.stat().st_size, now, 0o644
            with path.open("rb") as file:
                tar.addfile(row, file)
    print(f"{folder}: {len(found)} packages, signed by {name!r} {public_of(key, name).fingerprint}")
    print(f"{packed}: the same")
    return folder


def fill(folder: Path, found: list[Package], ours: Package, key: Ed25519PrivateKey, now: int) -> None:
    """The files of the folder; what was there is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = []
    for one in sorted(found, key=lambda one: one.path.name):
        copy = folder / one.path.name
        shutil.copyfile(one.path, copy)
        listed.append(Listed(copy.name, copy.stat().st_size, hashlib.sha256(copy.read_bytes()).hexdigest()))
    raw = manifest(f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}", ours.version, ours.arch, listed)
    (folder / MANIFEST).write_bytes(raw)
    (folder / SIGNATURE).write_bytes(key.sign(DOMAIN + raw))


def packages(sources: list[Path]) -> list[Path]:
    """Package files: those named, and those in the folders named."""
    return [path for source in sources for path in (sorted(source.glob("*.deb")) if source.is_dir() else [source])]


def private(path: Path) -> Ed25519PrivateKey:
    """The key of a file that only its owner reads. Raises ValueError, OSError."""
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path}: others may read it; next step: chmod 600 {path}, or a new key if they did")
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: no private key in PEM without a passphrase; see docs/update.md") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: no Ed25519 key; see docs/update.md")
    return key


def test_key(path: Path) -> None:
    """Write a new key where there is none."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    print(f"{path}: a key to try it out; never give away what it signed")


def public_of(key: Ed25519PrivateKey, name: str) -> Key:
    """What a box trusts."""
    return Key(name, key.public_key().public_bytes_raw())


if __name__ == "__main__":
    sys.exit(main())
