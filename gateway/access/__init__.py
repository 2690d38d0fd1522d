"""Who may come in, and who may do what: people, tokens, roles and permissions, and the sessions of people at the web page."""
