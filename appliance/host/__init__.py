"""The only room that touches the operating system or a clock.

What stands where, process by process:

under all         supervisor starts each as a child, pings hears their signs of life; notify tells the service manager,
                  signals makes one place to wait at, privileges gives up for good, clock says what time it is
asked by lines    control: who is asked, and how much may be said; lines: the side that answers
opener            opener holds the one right to open, opening is what it and the sensor say to each other; af_packet makes
                  rings, links follows the machine's interfaces, offloads switches off what joins frames
sensor            sensor_process, sensor: the one loop; interfaces and rounds read the rings, school and watcher learn and
                  judge, outlet sends records on, by feed to the keeper; sensor_state is what is told of it all
  learning        spool keeps frames for learner, the process that makes the baseline
  several cores   head is the sensor then; shares looks after the processes share, sharing is what they say, relay their packets
  words           teller asks in a thread of its own, words looks after the process words_worker
  packets         excerpts chooses frames of incidents, excerpt_files writes them, exporting hands them out
keeper            keeper_process, keeper; store and store_file are the incidents on disk, metrics answers Prometheus, reported
                  reads how the reporter stands; response answers incidents, by what site_files reads
enforcer          enforcer, with its ledger; nft is the kernel's rules, shadow what the kernel has counted
reporter          reporter_process, reporter; outbox holds what waits, a courier serves each destination through senders
verbs             doctor and ports look at the machine; backup, backup_format, restore and identity carry a gateway elsewhere;
                  update, update_keys, bundle and dpkg bring the next version
files             files opens captures, writing writes whole or not at all; baselines, models, plans, policies and oui read
                  what a process needs; memory is what it holds
"""
