"""Who may do what: roles and permissions, and the sessions of people at the web page."""
