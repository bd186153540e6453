"""Rings are learned from, then judged.

process, sensor   the one loop; school learns and watcher judges, outlet sends records on, by feed to the keeper; state is what is
                  told of it all
learning          spool keeps frames for learner, the process that makes the baseline
several cores     head is the sensor then; shares looks after the processes share, sharing is what they say, relay their packets
words             teller asks in a thread of its own, words looks after the process words_worker
packets           excerpts chooses frames of incidents, excerpt_files writes them, exporting hands them out
"""
