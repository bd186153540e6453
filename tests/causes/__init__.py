"""Incidents with known causes: plants that are simulated, recorded in the lab or made from captures; training and scoring.

`python -m tests.causes.train` makes the model in `models/cause/`; see its card.
"""
