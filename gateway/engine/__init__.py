"""The engine (pure: no clock, no I/O). Read engine.py first; its rooms, in the order of a sample's way:

where       which rows a batch touches
align       the order of samples: source times, late ones, duplicates; runs: many samples of one tag at once
stray       a source's clock that was set back
validity    what a type can hold and a range allows
twin        the columns and the view on them; history: the ring of commits; pace: when to commit; stale: silence; hold: manual input
deadband    what is reported; alarms: limits, states, quality, with hysteresis and delays
derived     formulas over tags (their language is model/expression); setpoints: the guard of a write
keep        snapshot, restore, state hash, all by name; snapshot: the blob's format; reload: new tables, and what is to be told of them
outcome     what a call hands back
"""
