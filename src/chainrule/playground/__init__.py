"""A page that trains small networks in the browser: ``python -m chainrule.playground``.

`server` decides who may open the page, and connects each page to a `session`. A session trains in a
thread with a `Trainer`. `settings` checks all values that come from a page, `program` turns the
values into a model and into a program to copy, and `view` computes what the page draws.
"""
