"""KPIs of the site's line: accounts of its machines, by shift and day, kept live from their tags."""
