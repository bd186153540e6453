"""`python -m tests.unseen --seeds 1-4`: a line per plant, kinds of episodes at the end. See the package's text.

Seeds up to 49 may be looked at while something is mended, those from 50 on are only measured.
"""

import argparse
from collections import Counter
from pathlib import Path

from tests.evaluate.detectors import Cry, Sekisho
from tests.sim.wire import SECOND
from tests.unseen.measure import LEARN, PLANTS, Part, Verdict, fields_changed, judged, keep, recorded
from tests.unseen.site import START

Episodes = tuple[Counter[str], Counter[str]]  # found and all, by name


def _told(cries: list[Cry], detector: Sekisho) -> str:
    names = {c.incident for c in cries}
    one = next(i for i in detector.incidents if i.id in names)
    kinds, f = Counter(f.kind.value for f in one.findings), one.findings[0]
    at = (f.time_ns - START) / SECOND - LEARN
    where = f"{f.ranges} seen {f.seen[:24].hex(' ')} not {[n[:24].hex(' ') for n in f.normal[:3]]} {f.payload[:60].hex()}"
    return f"     FALSE {at:7.1f} s frame {f.frame} {f.src}>{f.dst} {f.service} {dict(kinds)} {where}"


def _happened(name: str, seed: int, kinds: str, options: argparse.Namespace, episodes: Episodes) -> str:
    detector = Sekisho()
    head, part = recorded(name, seed, kinds)
    if options.keep:
        kind = {"clean": "clean", "attacks": "attack"}.get(kinds, "fault")
        keep(options.keep / f"{name}-{seed}-{kinds}", head, part, kind)
    detector.learn(head)
    verdict = judged(part, detector.detect(part.capture))
    episodes[0].update(verdict.found)
    episodes[1].update(verdict.total)
    for line in [_told(cries, detector) for cries in verdict.false] + _missed(part, verdict) if options.v else []:
        print(line)
    found = f"{verdict.found.total()}/{verdict.total.total()} " if part.episodes else ""
    return f" | {kinds} {found}false {len(verdict.false)} wrong {len(verdict.wrong)}/{verdict.frames}"


def _changed(name: str, seed: int, options: argparse.Namespace) -> str:
    t = fields_changed(name, seed, options.per_class)
    for c in sorted(t.total) if options.v else []:
        if t.exact[c] < t.total[c]:
            print(f"     {c}: {t.total[c]} found {t.found[c]} exact {t.exact[c]}")
    worst, where = t.worst(t.found, options.per_class // 2)
    shares = f"found {t.share(t.found, False):.3f} exact {t.share(t.exact, False):.3f} swapped {t.share(t.found, True):.3f}"
    return f" | changed {shares} worst {worst:.2f} {where} false {100 * t.false_frames / max(1, t.frames):.3f} %"


def _missed(part: Part, verdict: Verdict) -> list[str]:
    return [
        f"     MISSED {e.name} at {(e.begin - START) / SECOND - LEARN:.1f}" for e in part.episodes if not verdict.found[e.name]
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tests.unseen", description="Plants of known protocols, drawn by lot.")
    parser.add_argument("--seeds", default="1-3", help="A-B")
    parser.add_argument("--plants", default=",".join(PLANTS))
    parser.add_argument("--parts", default="clean,attacks,faults")
    parser.add_argument("--per-class", type=int, default=0, help="changed fields of a class; 0: none")
    parser.add_argument("--keep", type=Path, help="write the captures as labelled cases")
    parser.add_argument("-v", action="store_true", help="list what is wrong")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    episodes: Episodes = (Counter(), Counter())
    for name in options.plants.split(","):
        for seed in range(int(first), int(last or first) + 1):
            parts = [_happened(name, seed, kinds, options, episodes) for kinds in filter(None, options.parts.split(","))]
            changed = _changed(name, seed, options) if options.per_class else ""
            print(f"{name:7} {seed:3}{''.join(parts)}{changed}", flush=True)
    print({kind: f"{episodes[0][kind]}/{n}" for kind, n in sorted(episodes[1].items())})


if __name__ == "__main__":
    main()
