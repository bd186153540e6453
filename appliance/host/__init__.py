"""The only room that touches the operating system or a clock.

In the order of the data: capture opens rings, sensor learns and judges what is in them, keeper has incidents on its disk and
answers them, enforcer has the kernel refuse, reporter tells others; upkeep is what people do about the machine. Each room
names its modules; here is what all of them use:

processes   supervisor starts each as a child, pings hears their signs of life; notify tells the service manager, signals
            makes one place to wait at, privileges gives up for good, clock says what time it is, memory what it holds
lines       control: who is asked, and how much may be said; lines: the side that answers
files       config_file is read by all; files opens captures, writing writes whole or not at all; baselines, models, plans
            and oui read what a process needs
"""
