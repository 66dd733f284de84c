"""A page that trains small networks in the browser: ``python -m chainrule.playground``.

`server` decides who may open the page, and connects each page with a `session`. A session trains in
a thread with a `Trainer`. `settings` checks all values that come from a page, `experiment` turns
the values into a model and into code to copy, and `view` measures what the page draws.
"""
