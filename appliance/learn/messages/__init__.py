"""What the messages of a service look like: its structure.

sample, rowhash  messages as rows of bytes to learn from; hashes that are equal where closed bytes are
framing          the length field
text, cells      text laid out in columns, cut into cells; text_columns finds the columns, wholes has words open or closed as one
bytes that vary  dynamics (counters, identities), clocks, flags, noise; words has numbers in pairs of open bytes
kinds            templates is a tree over what a message does, kinds what its leaves have in common, containers takes lists apart
answers          pairing finds what an answer repeats, replied how far its head reaches, answered what of it is data
structure        all of it; structure_codec writes it, classify puts messages under it
"""
