"""A page in the browser that shows what networks predict; `page` needs the extra `web`."""
