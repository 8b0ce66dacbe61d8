"""Write clusters.json: cluster-robust standard errors of means, and Holm's p, as statsmodels computes them.

Run ``python make_clusters.py [FILE]`` with NumPy and statsmodels. Every stored number is the exact double it reads back
to.

- ``means``: the mean of ``values`` is the constant of a regression without other terms, by ordinary or, with
  ``weights``, by weighted least squares; ``cov_type="cluster"`` with t of G - 1 degrees of freedom. Stored are the
  mean, its standard error ``se``, the interval at 95 % and the two-sided p of a mean of 0.
- ``holm``: ``multipletests(p, method="holm")``.
"""

import json
import sys
from pathlib import Path

import numpy as np
import statsmodels
import statsmodels.api as sm
from statsmodels.stats.multitest import multipletests


def mean_case(values, groups, weights=None):
    """Fit the mean of values [n] in clusters [n], and return these with the results of statsmodels."""
    constant = np.ones((values.size, 1))
    model = sm.OLS(values, constant) if weights is None else sm.WLS(values, constant, weights=weights)
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    low, high = fit.conf_int(0.05)[0]
    found = {"mean": fit.params[0], "se": fit.bse[0], "low": low, "high": high, "p": fit.pvalues[0]}
    inputs = {"values": values.tolist(), "groups": groups.tolist()}
    inputs["weights"] = None if weights is None else weights.tolist()
    return {**inputs, **{name: float(value) for name, value in found.items()}}


def main(path):
    """Write the file."""
    rng = np.random.default_rng(20241101)
    means = []
    for n, clusters in ((6, 2), (12, 12), (40, 7), (200, 25), (300, 100)):
        groups = np.sort(rng.integers(0, clusters, n))
        groups[:2] = 0, clusters - 1  # in no order, and two at least
        shared = rng.normal(0.05, 0.3, clusters)[groups]
        values = shared + rng.normal(0, 0.2, n)
        means.append(mean_case(values, groups))
        means.append(mean_case(values, groups, rng.exponential(size=n)))
    lists = [[0.01], [0.04, 0.01, 0.03], [0.5, 0.9, 0.2, 0.0001], rng.random(9).round(3).tolist()]
    holm = [{"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()} for p in lists]
    document = {"statsmodels": statsmodels.__version__, "means": means, "holm": holm}
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("clusters.json"))
