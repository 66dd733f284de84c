"""Settings of hypothesis: the same examples in every run, or more examples on request.

``HYPOTHESIS_PROFILE=more nox -s tests -- tests/properties`` draws thirty times as many examples,
and different examples in every run.
"""

import importlib.util
import os

if importlib.util.find_spec("hypothesis") is None:
    collect_ignore_glob = ["test_*.py"]  # nox sessions install hypothesis
else:
    from hypothesis import settings

    # No database, because it would add a folder to the project.
    options = {"database": None, "deadline": None}
    settings.register_profile("default", derandomize=True, max_examples=30, **options)
    settings.register_profile("more", max_examples=1000, **options)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
