"""Order and time of requests, answers and pushes.

visits      after what a request comes, and when; leads has which one of a list comes before which
replies     which request got its answer; retries has requests that come again
pushes      what servers send by themselves
rhythm      all of it as counts, rhythm_codec as arrays; pace says what they mean
"""
