"""The command line of policies, leases and the enforcer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from appliance.cli.options import Add, Verbs

SOCKET = "/run/sekisho/enforcer.sock"

_POLICY = """\
check, test, plan and explain change nothing (docs/policy.md); apply, confirm and rollback do (docs/enforcement.md).

examples:
  sekisho policy check rules/*.yaml
  sekisho policy test rules/modbus-plant.yaml
  sekisho policy plan rules/modbus-plant.yaml --baseline plant.baseline
  sekisho policy plan rules/modbus-plant.yaml --baseline plant.baseline --output rules-7.json
  sekisho policy apply rules-7.json --by "A. Sato"
  sekisho policy confirm --by "A. Sato"
  sekisho policy promote rules-8.json --current rules-7.json --baseline plant.baseline --cycle 8h --by "A. Sato"
  sekisho policy explain rules/modbus-plant.yaml --baseline plant.baseline 10.40.2.21 10.40.2.11 tcp/502 "Write Single Coil"

exit codes: 0 nothing to tell, 1 a test failed, or learned conversations would be cut, or the request refused, 2 could not run"""
_ENFORCER = """\
Runs until SIGTERM. Its death changes no rule: what is in force stays, leases and trials end by the kernel's clock.

examples:
  sekisho enforcer --config /etc/sekisho/sekisho.toml
  sekisho enforcer --restore --config /etc/sekisho/sekisho.toml
  sekisho enforcer --state /var/lib/sekisho
  sekisho enforcer --forget"""
_LEASE = """\
examples:
  sekisho lease list
  sekisho lease list --acts
  sekisho lease undo l-17 --by "A. Sato\""""


def policy_verbs(verbs: Verbs, add: Add) -> None:
    """check, test, plan, explain; and apply, confirm, roll back."""
    p = add(verbs, "policy", "check, test, plan, explain or apply a policy", _POLICY, "")
    does = p.add_subparsers(dest="does", required=True, title="verbs")
    p = add(does, "check", "say what is wrong in policies", _POLICY, "policy:run_check")
    p.add_argument("policy", nargs="+", metavar="FILE", help="a policy (YAML)")
    p = add(does, "test", "run the tests inside a policy", _POLICY, "policy:run_test")
    p.add_argument("policy", metavar="FILE", help="a policy (YAML)")
    p.add_argument("--baseline", metavar="B", help="with what was learned; without, the rules alone are tested")
    p = add(does, "plan", "say what would change and what would be cut", _POLICY, "policy:run_plan")
    p.add_argument("policy", metavar="FILE", help="a policy (YAML)")
    p.add_argument("--baseline", required=True, metavar="B", help="what was learned")
    p.add_argument("--current", metavar="RULES", help="the rules in force, to compare with")
    p.add_argument("--output", metavar="RULES", help="write the compiled rules")
    p.add_argument("--replace", action="store_true", help="overwrite the file that is there")
    p.add_argument("--format", choices=("text", "jsonl"), default="text", help="words, or JSON lines")
    p = add(does, "explain", "say why a request is allowed or not", _POLICY, "policy:run_explain")
    p.add_argument("policy", metavar="FILE", help="a policy (YAML)")
    p.add_argument("--baseline", required=True, metavar="B", help="what was learned")
    for name, text in (("client", "who asks"), ("server", "who is asked"), ("service", "such as tcp/502")):
        p.add_argument(name, metavar=name.upper(), help=text)
    p.add_argument("function", nargs="?", metavar="FUNCTION", help="a name or a number; without, the connection")
    p.add_argument("--protocol", choices=("modbus", "bacnet", "enip"), help="where neither rules nor the baseline say it")
    p.add_argument("--unit", type=int, choices=range(256), default=1, metavar="N", help="Modbus unit, 1 unless told")
    p.add_argument("--register", type=int, choices=range(65536), default=0, metavar="N", help="Modbus register, 0 unless told")
    p = add(does, "promote", "put rules on trial if every asset that goes up is let through the gate", _POLICY, "promoting:run")
    p.add_argument("rules", metavar="RULES", help="what `policy plan --output` wrote")
    p.add_argument("--current", metavar="RULES", help="the rules in force; without, none are")
    p.add_argument("--baseline", required=True, metavar="B", help="what was learned")
    p.add_argument("--cycle", metavar="TIME", help="how long a cycle of the plant is (a shift, a day), such as 8h")
    p.add_argument("--seconds", type=int, default=120, metavar="N", help="length of the trial, 120 unless told")
    p.add_argument("--by", required=True, metavar="NAME", help="who answers for it")
    p.set_defaults(force="")
    _socket(p)
    _changing_verbs(does, add)


def _changing_verbs(does: Verbs, add: Add) -> None:
    """What changes the rules in force."""
    for name, text in (
        ("apply", "put compiled rules on trial: without a confirmation the kernel goes back by itself"),
        ("confirm", "the rules on trial come into force"),
        ("rollback", "end the trial, or go back to the rules before"),
    ):
        p = add(does, name, text, _POLICY, f"enforcing:run_{name}")
        if name == "apply":
            p.add_argument("rules", metavar="RULES", help="what `policy plan --output` wrote")
            p.add_argument("--seconds", type=int, default=120, metavar="N", help="length of the trial, 120 unless told")
            p.add_argument(
                "--cycle", metavar="TIME", default="24h", help="a cycle of the plant, 24h unless told: three in shadow"
            )
            p.add_argument("--force", metavar="REASON", default="", help="past the promotion gate; the reason is written down")
        p.add_argument("--by", required=True, metavar="NAME", help="who says so")
        _socket(p)


def enforcing_verbs(verbs: Verbs, add: Add) -> None:
    """The process that changes the kernel's rules, and the leases it keeps."""
    p = add(verbs, "enforcer", "run the process that changes the kernel's rules", _ENFORCER, "enforcing:run")
    how = p.add_mutually_exclusive_group(required=True)
    how.add_argument("--config", metavar="FILE", help="all of it from the configuration")
    how.add_argument("--state", metavar="FOLDER", help="where its ledger is kept")
    how.add_argument("--forget", action="store_true", help="remove all our rules, so that nothing is blocked any more, and end")
    p.add_argument("--restore", action="store_true", help="lay out the rules last in force and end: for early in boot")
    p.add_argument("--operator", type=int, action="append", default=[], metavar="UID", help="a user who may do all, besides root")
    p.add_argument("--bridge", action="store_true", help="this box is a bridge, not a router")
    p.add_argument("--group", type=int, metavar="GID", help="a group whose users may ask for leases")
    p.add_argument("--per-hour", type=int, default=12, metavar="N", help="leases an hour at most, 12 unless told")
    p.add_argument("--longest", type=int, default=3600, metavar="SECONDS", help="the longest lease, 3600 unless told")
    _socket(p)
    p = add(verbs, "lease", "list or end the steps in force", _LEASE, "")
    does = p.add_subparsers(dest="does", required=True, title="verbs")
    p = add(does, "list", "what is in force, until when, why", _LEASE, "enforcing:run_list")
    p.add_argument("--acts", action="store_true", help="also what was applied, refused and ended")
    _socket(p)
    p = add(does, "undo", "end a step before its time", _LEASE, "enforcing:run_undo")
    p.add_argument("lease", metavar="ID", help="as `lease list` writes it, such as l-17")
    p.add_argument("--by", required=True, metavar="NAME", help="who says so")
    _socket(p)


def _socket(p: argparse.ArgumentParser) -> None:
    p.add_argument("--socket", metavar="PATH", help=f"of the enforcer, {SOCKET} unless told")
