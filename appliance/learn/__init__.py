"""What is normal, learned without knowing the protocols.

A **session** (`session`) of learning passes over the frames three times: **roles** say who serves, a bounded **sample** of every
service gives its **structure** (`framing`, `dynamics`, `pairing`, `templates`, `structure`), and everything is counted under it:
**rows** (`counts`: what messages carry) and **topology** (who talks to whom, when). A **baseline** is those counts; baselines
merge exactly. The **image** (`image`) samples what numbers were carried; `series`, `grid` and `relations` find
what they have to do with each other (`process`). A **model** (`model`) is what the counts mean, derived anew each time.
"""
