"""Frames come in: rings of AF_PACKET, and who may open them.

opener      holds the one right to open; opening is what it and the sensor say to each other, links follows the machine's
            interfaces, offloads switches off what joins frames
rings       af_packet makes them; interfaces has those that the opener passed on, rounds reads them in the order of time
"""
