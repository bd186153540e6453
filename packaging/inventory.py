"""What is inside the Debian package: read from the wheels' own metadata, written as an SBOM and as a copyright file."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROJECT = "sekisho"
_NOTICE = re.compile(r"^\W*((?:portions\s+)?copyright\b.{4,160}|\(c\)\s+.{4,160})$", re.I | re.M)


@dataclass(frozen=True)
class Distribution:
    """One distribution that is inside.

    licence  its licence, an SPDX expression where its metadata has one
    texts    name and text of each licence file it brings
    top      its files and folders in site-packages, for the copyright file
    sha256   of the wheel it came from
    parts    components that its own SBOM says are linked into its libraries (PEP 770), as CycloneDX has them
    """

    name: str
    version: str
    licence: str
    authors: str
    texts: tuple[tuple[str, str], ...]
    top: tuple[str, ...]
    sha256: str = ""
    parts: tuple[dict[str, Any], ...] = field(default=())


def distributions(site: Path, wheels: Path | None = None) -> list[Distribution]:
    """Every distribution in a site-packages folder, by name. Raises ValueError where one brings no licence."""
    hashes = {}
    for wheel in sorted(wheels.glob("*.whl")) if wheels else ():
        name, version = wheel.name.split("-")[:2]
        hashes[normal(name), version] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    found = []
    for info in sorted(site.glob("*.dist-info")):
        meta = HeaderParser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
        name, version = meta["Name"], meta["Version"]
        licence = meta["License-Expression"] or _classified(meta.get_all("Classifier") or []) or (meta["License"] or "").strip()
        texts = tuple(_texts(info)) or tuple(_supplied(normal(name)))
        if not licence or not texts:
            raise ValueError(f"{name}: its wheel says no licence or brings no licence text; it cannot be shipped")
        people = ", ".join(filter(None, (meta["Author"], meta["Author-email"], meta["Maintainer"]))) or f"the authors of {name}"
        sha256 = hashes.get((normal(name), version), "")
        found.append(Distribution(name, version, licence, people, texts, tuple(_top(info)), sha256, tuple(_parts(info))))
    return found


def sbom(inside: Iterable[Distribution], epoch: int) -> str:
    """CycloneDX 1.5 as JSON text; the same for the same contents."""
    components = []
    for one in inside:
        if normal(one.name) == _PROJECT:
            version = one.version
            continue
        row: dict[str, Any] = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{normal(one.name)}@{one.version}",
            "name": one.name,
            "version": one.version,
            "purl": f"pkg:pypi/{normal(one.name)}@{one.version}",
            "licenses": [_licence(one.licence)],
        }
        if one.sha256:
            row["hashes"] = [{"alg": "SHA-256", "content": one.sha256}]
        if one.parts:
            row["components"] = list(one.parts)
        components.append(row)
    main = {
        "type": "application",
        "bom-ref": f"pkg:deb/sekisho@{version}",
        "name": _PROJECT,
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components, sort_keys=True))
    text = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "component": main},
        "components": components,
        "dependencies": [{"ref": main["bom-ref"], "dependsOn": [row["bom-ref"] for row in components]}],
    }
    return json.dumps(text, indent=1, ensure_ascii=False) + "\n"


def copyright_text(inside: Iterable[Distribution], project: Path) -> str:
    """The machine-readable copyright file: our licence, then each distribution with its own words, whole."""
    parts = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: sekisho\n"
        "Comment: Everything below usr/lib/sekisho comes with this package; the rest is in packages of Debian.\n",
        "Files: *\nCopyright: 2026 The Sekisho authors\nLicense: Apache-2.0\n"
        " On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.\n .\n"
        + _indented((project / "NOTICE").read_text(encoding="utf-8")),
    ]
    for one in inside:
        if normal(one.name) == _PROJECT:
            continue
        files = "\n ".join(f"usr/lib/sekisho/lib/python3.11/site-packages/{name}" for name in one.top)
        people = _holders(one)
        body = "".join(f"{name}:\n\n{text}\n\n" for name, text in one.texts)
        parts.append(
            f"Files: {files}\nCopyright: {people}\nLicense: {normal(one.name)}-terms\n"
            f" {one.name} {one.version} says its licence is: {' '.join(one.licence.split())[:200]}\n .\n" + _indented(body)
        )
    return "\n".join(parts)


def normal(name: str) -> str:
    """The normalised name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _classified(rows: list[str]) -> str:
    return " AND ".join(row.rpartition("::")[2].strip() for row in rows if row.startswith("License ::") and row.count("::") > 1)


def _texts(info: Path) -> Iterable[tuple[str, str]]:
    names = re.compile(r"(licen[cs]e|copying|notice|authors)", re.I)
    for path in sorted(info.rglob("*")):
        if path.is_file() and (path.parent.name == "licenses" or "licenses" in path.parts or names.match(path.name)):
            yield path.relative_to(info).as_posix(), path.read_text(encoding="utf-8", errors="replace")


def _supplied(name: str) -> Iterable[tuple[str, str]]:
    """The text for a wheel that brings none; the file says where it is from."""
    path = Path(__file__).resolve().parent / "licences" / name
    if path.is_file():
        yield "licence", path.read_text(encoding="utf-8")


def _top(info: Path) -> Iterable[str]:
    rows = (info / "RECORD").read_text(encoding="utf-8").splitlines()
    tops = {row.split(",")[0].strip('"').split("/")[0] for row in rows}
    for name in sorted(tops):
        if (info.parent / name).is_dir():
            yield f"{name}/*"
        elif (info.parent / name).is_file():
            yield name


def _parts(info: Path) -> Iterable[dict[str, Any]]:
    for path in sorted((info / "sboms").glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")).get("components", []):
            yield {key: row[key] for key in ("type", "name", "version", "purl", "licenses") if key in row}


def _holders(one: Distribution) -> str:
    lines = {" ".join(m[1].split()) for _, text in one.texts for m in _NOTICE.finditer(text)}
    rows = sorted(line for line in lines if re.search(r"\d{4}|\(c\)", line, re.I))[:40]
    return "\n ".join(rows or [one.authors])


def _licence(words: str) -> dict[str, Any]:
    spdx = re.fullmatch(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*", words)
    return {"expression": words} if spdx and re.search(r"\d|MIT", words) else {"license": {"name": " ".join(words.split())[:120]}}


def _indented(text: str) -> str:
    rows = (" " + line.rstrip() if line.strip() else " ." for line in text.strip().splitlines())
    return "\n".join(rows) + "\n"
