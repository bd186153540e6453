"""The command line of what leaves the site, and of what is kept for another box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.cli.options import Add, Verbs, config_option

if TYPE_CHECKING:
    import argparse

_REPORTER = """\
Sends what the keeper stores to the destinations of [report], until SIGTERM (docs/reporting.md). SIGHUP reads the configuration
anew. --test sends one event that says it is a test, and says in one line what happened.

examples:
  sekisho reporter --config /etc/sekisho/sekisho.toml
  sekisho reporter --test siem

exit codes: 0 ended or sent, 1 to be started again, 2 could not run or send"""


_BACKUP = """\
Identity, configuration and what it names, baseline, incidents and ledger in one file, signed by the site's key; secrets in it are
sealed with a passphrase. The appliance may run meanwhile. Keep the signer's fingerprint it tells apart from the file.

example:
  sekisho backup --out gateway-7.backup --passphrase-file /etc/sekisho/passphrase"""
_RESTORE = """\
Checks signature, contents and versions, then puts everything in place, or nothing. The appliance must be stopped.

examples:
  sekisho restore gateway-7.backup --check
  sekisho restore gateway-7.backup --signer 1b2c-3d4e-5f60-7182-93a4-b5c6-d7e8-f901"""


def report_verbs(verbs: Verbs, add: Add) -> None:
    """The reporter."""
    p = add(verbs, "reporter", "send incidents out of the site: SIEM, webhook, mail, file", _REPORTER, "reporter:run")
    config_option(p)
    p.add_argument("--test", metavar="DESTINATION", help="send one test event there and end")


def backup_verbs(verbs: Verbs, add: Add) -> None:
    """A gateway in one file."""
    p = add(verbs, "backup", "write a signed backup of this gateway", _BACKUP, "backup:run")
    p.add_argument("--out", required=True, metavar="FILE", help="the file to write")
    p.add_argument("--replace", action="store_true", help="overwrite the file that is there")
    _sealed(p)
    p = add(verbs, "restore", "put a backup in place on this box", _RESTORE, "backup:run_restore")
    p.add_argument("backup", metavar="FILE", help="what `sekisho backup` wrote")
    p.add_argument("--signer", metavar="FINGERPRINT", help="whose backup is taken; this box's own unless told")
    p.add_argument("--check", action="store_true", help="only say whether it is sound, and what is in it")
    p.add_argument("--replace", action="store_true", help="also where files are there already; they are kept as *.before-restore")
    _sealed(p)


def _sealed(p: argparse.ArgumentParser) -> None:
    config_option(p)
    either = p.add_mutually_exclusive_group()
    either.add_argument("--passphrase-file", metavar="FILE", help="what seals the secrets; asked for at a terminal unless told")
    either.add_argument("--without-secrets", action="store_true", help="leave keys and passwords out")
