"""The web part: a page over a JSON API. A door like the command line; the work is elsewhere."""
