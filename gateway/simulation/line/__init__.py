"""The line: discrete events of machines and buffers, from a resolved line to OEE and money."""
