"""A batch against a model gives **findings**.

`newcomers` finds who was never seen, `content` messages that leave what their conversation carries (`locate` says in
which bytes, `carry` forgives counters that outgrow what was learned), `absence` what does not happen any more,
`values` numbers that jump, `process` numbers that contradict others, `rates` floods. `detector` runs them all.
"""
