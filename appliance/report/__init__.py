"""What leaves the house: incidents as JSON lines (`records`), as a story (`text`), as one page (`page`), assets as lists.

Everything here is pure: data in, text out. Whoever calls decides where the text goes. `labels` holds the layout's own words
in English and Japanese (the words of an incident come from `explain`), `wording` makes any text safe and fitting to show,
`plant` and `timeline` turn numbers into geometry, `templates/` draws it.
"""
