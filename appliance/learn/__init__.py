"""What is normal, learned without knowing the protocols.

A **session** (`session`) of learning passes over the frames three times: **roles** say who serves, a bounded **sample** of every
service gives its **structure** (`framing`, `dynamics`, `pairing`, `templates`, `structure`), and everything is counted under it:
**rows** (`counts`: what messages carry) and **topology** (who talks to whom, when). A **baseline** is those counts; baselines
merge exactly. A **model** (`model`) is what the counts mean, derived anew each time.
"""
