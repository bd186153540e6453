"""The command line of `sekisho setup`."""

from __future__ import annotations

from appliance.cli.options import CONFIG, Add, Verbs

_SETUP = """\
Asks for what was not said: the port, how the box stands in the network, the language. Writes the configuration and changes
nothing else; what is there is never overwritten without --replace.

examples:
  sekisho setup
  sekisho setup --interface eth1 --mode mirror --lang en --start
  sekisho setup --interface eth1 --interface eth2 --mode bridge --lang ja"""


def setup_verb(verbs: Verbs, add: Add) -> None:
    """Write the configuration, start the appliance."""
    p = add(verbs, "setup", "write the configuration of a new box, and start it", _SETUP, "setup:run")
    p.add_argument("--interface", action="append", default=[], metavar="NAME", help="a port that is watched; may be repeated")
    p.add_argument("--mode", choices=("mirror", "bridge", "router"), help="how the box stands in the network")
    p.add_argument("--lang", choices=("en", "ja"), help="language of questions and of what it tells")
    p.add_argument("--learn-for", metavar="TIME", help="such as 8h; without: until it has learned enough")
    p.add_argument("--config", default=CONFIG, metavar="FILE", help=f"the file to write, {CONFIG} unless told")
    p.add_argument("--replace", action="store_true", help="overwrite the configuration that is there")
    p.add_argument(
        "--look",
        type=float,
        metavar="SECONDS",
        help="then judge the ports for so long, as `sekisho doctor`; 10 at a terminal, else 0",
    )
    p.add_argument("--start", action="store_true", help="enable and start the appliance (systemd)")
