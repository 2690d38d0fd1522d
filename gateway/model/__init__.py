"""Ground floor: values only. No clock, no I/O, no logging; made of the standard library and numpy."""
