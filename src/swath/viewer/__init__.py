"""The page on which one looks at maps: served from here while one works, or one file to send."""
