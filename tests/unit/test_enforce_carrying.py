"""What shadow has counted goes on under new rules exactly where they let through all that the old ones did."""

from dataclasses import replace
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.gate import Seen, Shadow
from appliance.decide.judge import judge
from appliance.decide.rules import Allow, Generation, Mode, Network, Pattern, Protected, Service
from appliance.decode.framing import Framing
from appliance.enforce.carrying import carried

MODBUS = Service("tcp", 502)
CLIENTS = [ip_network(f"10.0.0.{n}/32") for n in (1, 2)]
SERVERS = [ip_network(f"10.0.1.{n}/32") for n in (1, 2)]
FRAMING = Framing(4, 2, True, 6)
READ, WRITE = Pattern(0x01030000, 0x0103FFFF), Pattern(0x01060000, 0x0106FFFF)
PLANT = Generation(
    1,
    (),
    tuple(Protected(server, MODBUS, Mode.SHADOW) for server in SERVERS),
    tuple(Allow(CLIENTS[0], server, MODBUS, 6, (READ,), (12,), framing=FRAMING) for server in SERVERS),
)
SEEN: Seen = {(server, MODBUS): Shadow(500, 2, 1000, 4000) for server in SERVERS}
ONE, TWO = (key for key in SEEN)


def edited(place: int, **changes: object) -> Generation:
    """The plant with one of its rules changed."""
    allowed = list(PLANT.allowed)
    allowed[place] = replace(allowed[place], **changes)  # type: ignore[arg-type]
    return replace(PLANT, number=2, allowed=tuple(allowed))


def test_an_edit_elsewhere_costs_nothing() -> None:
    assert carried(SEEN, PLANT, replace(PLANT, number=2)) == SEEN
    assert carried(SEEN, PLANT, edited(1, patterns=(READ, WRITE))) == {ONE: SEEN[ONE]}
    assert carried(SEEN, PLANT, edited(1, sizes=(12, 14))) == SEEN  # sizes are the service's: more pass, none less
    assert carried(SEEN, PLANT, edited(1, reason="another line of the policy")) == SEEN
    up = replace(PLANT, protected=(PLANT.protected[0], replace(PLANT.protected[1], mode=Mode.ENFORCE)))
    assert carried(SEEN, PLANT, up) == {ONE: SEEN[ONE]}
    more = Allow(CLIENTS[1], SERVERS[1], MODBUS, 6, (READ,), (12,), framing=FRAMING)
    assert carried(SEEN, PLANT, replace(PLANT, allowed=(*PLANT.allowed, more))) == {ONE: SEEN[ONE]}


def test_what_could_be_refused_now_begins_anew() -> None:
    assert carried(SEEN, edited(0, sizes=(10, 12)), PLANT) == {}  # requests of ten bytes
    assert carried(SEEN, edited(0, sizes=()), PLANT) == {}
    assert carried(SEEN, PLANT, replace(PLANT, bridge=True)) == {}
    assert carried(SEEN, replace(PLANT, never=(CLIENTS[1],)), PLANT) == {}
    assert carried(SEEN, PLANT, edited(0, framing=Framing(0, 0, True, 0))) == {TWO: SEEN[TWO]}


def test_counts_add_up_and_time_between_them_does_not_count() -> None:
    assert Shadow(10, 1, 100, 200).and_then(Shadow(5, 0, 1000, 1050)) == Shadow(15, 1, 900, 1050)
    assert Shadow(10, 1, 100, 200).and_then(Shadow(5, 0, 1000, 50)) == Shadow(15, 1, -50, 50)  # the clock was set back


patterns = st.lists(st.sampled_from([READ, WRITE]), min_size=1, max_size=2, unique=True).map(tuple)
sizes = st.lists(st.sampled_from([12, 14, 20]), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
allows = st.builds(
    lambda client, server, said, sizes: Allow(client, server, MODBUS, 6, said, sizes, framing=FRAMING),
    st.sampled_from(CLIENTS),
    st.sampled_from([*SERVERS, ip_network("10.0.1.0/24")]),
    patterns,
    sizes,
)
generations = st.builds(
    lambda modes, allowed, never: Generation(
        1, never, tuple(Protected(s, MODBUS, m) for s, m in zip(SERVERS, modes, strict=True)), tuple(allowed)
    ),
    st.tuples(*[st.sampled_from(list(Mode))] * 2),
    st.lists(allows, max_size=3),
    st.sampled_from([(), (CLIENTS[1],)]),
)


@given(
    generations, generations, st.sampled_from([12, 14, 20]), st.sampled_from([3, 6]), st.sampled_from(["10.0.0.1", "10.0.0.2"])
)
def test_no_request_that_passed_is_counted_under_rules_that_carry_on(
    before: Generation, after: Generation, size: int, function: int, client: Network
) -> None:
    before, after = (_union(g) for g in (before, after))
    payload = bytes.fromhex("00010000") + (size - 6).to_bytes(2, "big") + bytes([1, function]) + bytes(size - 8)
    for server, service in carried(SEEN, before, after):
        asked = (client.network_address, server.network_address, service, payload)
        verdicts = [judge(g, *asked).outcome.value for g in (before, after)]
        assert verdicts[0] not in ("allowed", "never refused") or verdicts[1] == verdicts[0]


def _union(g: Generation) -> Generation:
    """The kernel holds the sizes of a service in one set, and asks for none where a rule has none."""
    every = tuple(sorted({s for a in g.allowed for s in a.sizes})) if all(a.sizes for a in g.allowed) else ()
    return replace(g, allowed=tuple(replace(a, sizes=every) for a in g.allowed))
