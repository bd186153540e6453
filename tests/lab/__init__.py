"""The lab: real peers on a real bridge, recorded with labels that come from the script, never from the product.

process   the plant itself: tanks, heaters and meters as arithmetic, no I/O
net       network namespaces, veth pairs and one bridge per plant, cut off from every other network
peers/    programs that run inside a namespace: devices, masters, office chatter, intruder, bad cable, recorder
stage     starts a plant, speaks to its peers, writes down what was done when
labels    what was done when -> a label for each frame, by who sent it and what it asks
plants    which hosts there are and what they poll; cases: what happens to them
__main__  `python -m tests.lab record|list|check|clean`
"""
