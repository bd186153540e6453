"""The command line of updates from a medium, for networks that have no way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.cli.options import Add, Verbs, config_option

if TYPE_CHECKING:
    import argparse

KEYS = "/etc/sekisho/update-keys"

_UPDATE = """\
A bundle is a folder, such as on a USB stick: signed by its maker, checked on a copy, installed without any network. Only keys
that an operator of this box trusts count; the package brings none. Before it installs it makes a backup, and it keeps the bundle
before, for the way back.

examples:
  sekisho update trust release.pub --by "A. Sato"
  sekisho update check /media/stick/sekisho-update_0.2.0_amd64
  sekisho update install /media/stick/sekisho-update_0.2.0_amd64
  sekisho update install /var/lib/sekisho/updates/previous --allow-downgrade"""


def update_verbs(verbs: Verbs, add: Add) -> None:
    """Updates from a folder."""
    p = add(verbs, "update", "update from a signed bundle on a medium", _UPDATE, "")
    does = p.add_subparsers(dest="does", required=True, title="verbs")
    p = add(does, "check", "say whether a bundle is sound and fits this box; changes nothing", _UPDATE, "update:run_check")
    _bundle(p)
    p = add(does, "install", "check a bundle, make a backup, install it (root)", _UPDATE, "update:run_install")
    _bundle(p)
    p.add_argument("--by", metavar="NAME", help="who does it; who is logged in unless told")
    p.add_argument("--without-backup", action="store_true", help="make no backup first")
    _config(p)
    p = add(does, "trust", "take updates from whoever holds this key (root)", _UPDATE, "update:run_trust")
    p.add_argument("key", metavar="KEYFILE", help="one line: ed25519 BASE64 NAME")
    p.add_argument("--by", required=True, metavar="NAME", help="who says so")
    p.add_argument("--fingerprint", metavar="F", help="what it must be, as the maker told it; nothing is written otherwise")
    _keys(p)
    _config(p)
    p = add(does, "keys", "list the keys that are trusted", _UPDATE, "update:run_keys")
    _keys(p)


def _bundle(p: argparse.ArgumentParser) -> None:
    p.add_argument("folder", metavar="FOLDER", help="the folder of the bundle")
    p.add_argument("--allow-downgrade", action="store_true", help="also a version that is older than the installed one")
    _keys(p)


def _keys(p: argparse.ArgumentParser) -> None:
    p.add_argument("--keys", default=KEYS, metavar="DIR", help=f"where trusted keys are, {KEYS} unless told")


def _config(p: argparse.ArgumentParser) -> None:
    config_option(p)
