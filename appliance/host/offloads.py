"""Receive offloads: they join what came in several frames into one that no wire carried, so they are off on watched ports."""

from __future__ import annotations

from pyroute2.ethtool.ioctl import EthtoolError, IoctlEthtool

JOINING = ("rx-gro", "rx-lro", "rx-gro-hw", "rx-gro-list", "rx-udp-gro-forwarding")


def offloads_on(name: str, *, switch_off: bool) -> tuple[str, ...]:
    """Those of JOINING that are on; with `switch_off` (needs CAP_NET_ADMIN) those that could not be switched off.

    A driver that knows no features (some virtual ones) has none on.
    """
    tool = IoctlEthtool(name)
    try:
        on = _on(tool)
        for feature in on if switch_off else ():
            try:
                features = tool.get_features()
                features[feature] = False
                tool.set_features(features)
            except (OSError, EthtoolError):  # not permitted, or fixed by the driver: it stays in the answer
                continue
        return _on(tool) if switch_off else on
    except (OSError, EthtoolError):
        return ()
    finally:
        tool.close()


def _on(tool: IoctlEthtool) -> tuple[str, ...]:
    features = tool.get_features()
    return tuple(name for name in JOINING if name in features and features.is_active(name))
