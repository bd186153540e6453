"""What was learned, as one value that merges exactly.

baseline    all of it; codec writes it
ledger      what people have said of it: accepted, undone, confirmed, to be learned anew; living has what of it still counts
"""
