"""Evaluation as a product: `python -m tests.evaluate` measures detection and writes `docs/evaluation.md`.

capture    frames in memory: read, split, change bytes with right checksums
grammars   where the fields of a protocol are: ground truth for changes, never seen by a detector
mutate     one field changed in known messages; found, exact, false
cases      labelled captures: episodes, false incidents, causes
detectors  Sekisho, and baselines: conversation whitelist, unseen values per offset; judged by the same code
strangers  two made-up protocols that no decoder knows, one binary, one text, seeded
coverage   per protocol: words, framing, kinds, share of messages with a known row
plots      SVG drawn by hand;  page  Markdown of all of it
"""
