"""Plants of known protocols that nobody tuned on: `python -m tests.unseen`.

site      time, hosts, connections, polls, losses, outages; which frames belong to what is not normal
signals   process values: floats that drift, counters, bits, set-points
modbus, enip, bacnet, s7, iec104   a plant drawn by a seed, and what an intruder would say in it
scenarios what happens: attacks, faults
measure   learn the head, judge the clean rest, the scenarios and changed fields
"""
