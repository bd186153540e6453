"""What the rules look at: the findings of one incident, summed up once for cause, technique, advice and title."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from appliance.detect.finding import Finding, Kind
from appliance.protocols import Intent, Words

Said = Sequence[Words | None]  # words of the findings, in their order; may be shorter, may be empty

# Failures: something that should be there is not. A cut cable makes only these.
FAILURES = frozenset({Kind.MISSING_ANSWER, Kind.SILENCE, Kind.CONNECTION_FAILURE, Kind.PERIOD_CHANGE, Kind.DAMAGE})
# Bytes that differ from what was learned.
CONTENT = frozenset(
    {
        Kind.UNKNOWN_COMMAND,
        Kind.UNKNOWN_VALUE,
        Kind.UNKNOWN_COMBINATION,
        Kind.WRONG_LENGTH,
        Kind.BROKEN_FRAMING,
        Kind.WRONG_IDENTITY,
        Kind.WRONG_ECHO,
        Kind.UNASKED_ANSWER,
        Kind.PROCESS_CONTRADICTION,
    }
)
NEWCOMERS = frozenset({Kind.NEW_ASSET, Kind.NEW_CONVERSATION, Kind.ROLE_CHANGE})
# New, but nothing that is strange by itself.
MILD = frozenset({Kind.SIMILAR_ASSET, Kind.READDRESSED, Kind.NEW_SERVICE, Kind.IDENTITY_CHANGE})
DEVICE_ACTS = frozenset({Intent.CONTROL, Intent.PROGRAM})
ACTS = DEVICE_ACTS | {Intent.WRITE}

# What a message wants, the gravest first: an incident is told by its gravest act.
GRAVITY = (
    Intent.PROGRAM,
    Intent.CONTROL,
    Intent.WRITE,
    Intent.SCAN,
    Intent.IDENTIFY,
    Intent.DIAGNOSE,
    Intent.READ,
    Intent.SESSION,
)
# What deviates, the most telling first; a title tells the first of these that is there.
TELLING = (
    Kind.SCAN,
    Kind.UNKNOWN_COMMAND,
    Kind.OVERLAP,
    Kind.DUPLICATE_ADDRESS,
    Kind.ADDRESS_CHANGE,
    Kind.REPLAY,
    Kind.FLOOD,
    Kind.WRONG_ORDER,
    Kind.ROLE_CHANGE,
    Kind.READDRESSED,
    Kind.IDENTITY_CHANGE,
    Kind.NEW_ASSET,
    Kind.DARK_ADDRESS,
    Kind.NEW_CONVERSATION,
    Kind.SIMILAR_ASSET,
    Kind.NEW_SERVICE,
    Kind.UNKNOWN_COMBINATION,
    Kind.UNKNOWN_VALUE,
    Kind.PROCESS_CONTRADICTION,
    Kind.WRONG_LENGTH,
    Kind.BROKEN_FRAMING,
    Kind.UNASKED_ANSWER,
    Kind.WRONG_ECHO,
    Kind.WRONG_IDENTITY,
    Kind.SILENCE,
    Kind.MISSING_ANSWER,
    Kind.CONNECTION_FAILURE,
    Kind.PERIOD_CHANGE,
    Kind.DAMAGE,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """An incident in numbers.

    kinds         kind -> how often, counting what each finding stands for
    intents       what the requests want, as far as words say so
    act           the gravest of them (UNKNOWN where no words say)
    newcomer      a new asset or conversation is part of it
    requests      findings in frames that the client sent; answers: in frames that the server sent
    clients, servers   distinct addresses that ask, and that are asked
    commands      distinct unknown command bytes in requests
    services      names of the protocol services in requests
    """

    kinds: Counter[Kind]
    intents: frozenset[Intent]
    act: Intent
    newcomer: bool
    requests: int
    answers: int
    clients: frozenset[str]
    servers: frozenset[str]
    commands: int
    services: tuple[str, ...]

    def only(self, kinds: frozenset[Kind]) -> bool:
        """True when every finding is of one of these kinds."""
        return bool(self.kinds) and set(self.kinds) <= kinds

    def any(self, kinds: frozenset[Kind]) -> bool:
        """True when a finding of one of these kinds is there."""
        return any(self.kinds[kind] for kind in kinds)


def asks(finding: Finding) -> bool:
    """True when the frame of the finding goes from the client to the server."""
    return finding.src == finding.client


def server(finding: Finding) -> str:
    """The address that is asked."""
    return finding.dst if asks(finding) else finding.src


def paired(findings: Sequence[Finding], words: Said) -> list[tuple[Finding, Words | None]]:
    """Findings with their words; None where there are none. Words beyond the findings are ignored."""
    return [(f, w) for f, w in zip_longest(findings, words[: len(findings)]) if f is not None]


def facts(findings: Sequence[Finding], words: Said = ()) -> Facts:
    """Sum up the findings of an incident."""
    pairs = paired(findings, words)
    kinds: Counter[Kind] = Counter()
    for finding in findings:
        kinds[finding.kind] += max(finding.count, 1)
    asked = [w for f, w in pairs if w is not None and asks(f)]
    intents = frozenset(w.intent for w in asked)
    framed = [f for f in findings if f.frame is not None and f.kind not in FAILURES]
    return Facts(
        kinds=kinds,
        intents=intents,
        act=next((intent for intent in GRAVITY if intent in intents), Intent.UNKNOWN),
        newcomer=any(f.kind in NEWCOMERS for f in findings),
        requests=sum(asks(f) for f in framed),
        answers=sum(not asks(f) for f in framed),
        clients=frozenset(f.client for f in findings),
        servers=frozenset(server(f) for f in findings),
        commands=len({f.seen for f in findings if f.kind is Kind.UNKNOWN_COMMAND and asks(f) and f.seen}),
        services=tuple(dict.fromkeys(w.service for w in asked)),
    )
