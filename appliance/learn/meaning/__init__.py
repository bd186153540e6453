"""What a baseline means, derived anew each time and never saved.

model       what detection asks; standing has who stands where, openness who comes and goes, accepted what people let in
promises    calibrate keeps an alarm budget, adequacy says how much is not known yet, readiness from when on a conversation
            is watched; poisson has the limits
suspects    what looks hostile in the time that was learned
"""
