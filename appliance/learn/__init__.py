"""What is normal, learned without knowing the protocols.

A `session` of learning passes over the frames three times: who serves (`site.roles`), a bounded sample of every service gives its
structure (`messages`), and everything is counted under it; `onward` goes on learning under structures that stand. What is counted
makes a baseline; baselines merge exactly. What it means is derived from it anew each time. The rooms, in the order of the data:

messages    what the messages of a service look like: framing, kinds, fields, counters, answers; text laid out in columns
counting    rows: what messages carry, as sufficient statistics
site        who is there, who talks to whom, what devices say of themselves
timing      order and time: gaps, steps, requests and their answers, pushes; what of it is normal
numbers     what numbers were carried, as a sampled image, and what they have to do with each other
baselines   all of it as one value that merges, what people have said of it, and its file
meaning     the model that detection asks, alarm budget, adequacy, readiness, review
"""
