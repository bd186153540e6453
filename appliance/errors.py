"""Errors, by whose fault they are.

    SekishoError                 what an operator may see: one line that names the thing, the cause and the next step
    ├── UsageError               the command line or the configuration asks for something that cannot be
    ├── CaptureError             a capture cannot be read at all (not a capture, empty, unreadable)
    ├── BaselineError            a baseline is missing, damaged, too new, or cannot be written
    ├── RulesError               rules compiled from a policy cannot be read, or what is asked of them cannot be
    │   └── AwayError            the enforcer does not answer at all
    ├── LiveError                an interface cannot be watched, or a part of the daemon cannot be started
    ├── StoreError               what the daemon keeps on disk cannot be read or written now
    ├── ReportError              a report cannot be kept, or sent to a destination
    ├── BackupError              a backup cannot be made, is not sound, or cannot be put in place
    ├── UpdateError              a bundle is not one to install here, or could not be installed
    ├── DocumentError            a document that a person wrote is wrong: file, line, fix
    ├── ModelError               a model that is shipped is missing, damaged, or made for another version
    └── WordsError               a third-party decoder failed, ran out of time or memory (costs words, never a finding)

Damage inside a capture is not an error: it is a column (`appliance.decode.damage`) and is counted.
"""


class SekishoError(Exception):
    """Base of everything that is reported to a person in one line."""


class UsageError(SekishoError):
    """The operator asked for something that cannot be done; says what can."""


class CaptureError(SekishoError):
    """The input is not a capture that can be read."""


class BaselineError(SekishoError):
    """The baseline cannot be loaded, merged or written."""


class RulesError(SekishoError):
    """A generation of rules is damaged, or not one of ours."""


class AwayError(RulesError):
    """The enforcer does not answer: asking again later may help."""


class LiveError(SekishoError):
    """An interface cannot be opened, or a process of the daemon cannot be started or does not answer."""


class StoreError(SekishoError):
    """What the daemon keeps on disk cannot be opened, read or written."""


class ReportError(SekishoError):
    """What is to leave the site cannot be kept or sent; says what becomes of it."""


class BackupError(SekishoError):
    """A backup cannot be made, is damaged or of a stranger, or cannot be restored; what was there stays."""


class UpdateError(SekishoError):
    """A bundle is damaged, of a stranger, not for this box, or cannot be installed; says what is installed then."""


class DocumentError(SekishoError):
    """What a person wrote cannot be taken; names the file, the line and the fix."""


class ModelError(SekishoError):
    """A shipped model cannot be used."""


class WordsError(SekishoError):
    """A protocol decoder did not deliver words in its limits."""
