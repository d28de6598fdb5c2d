"""The daemon's door: HTTP and server-sent events on a Unix socket."""
