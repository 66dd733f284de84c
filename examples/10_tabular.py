"""10. A table
===========

A network that predicts sales from a table with missing values.

The steps are the same for any table: fill in missing values, plot groups of rows, encode words as
zeros and ones, standardise, and train. Then compare the network with the simplest model that might
be good enough, here a least squares fit. Medians and means are computed from the training rows
only, because the test rows stand for sales that nobody has seen yet.

Look at the groups. Warm weather sells ice cream but not soup, and an offer helps some products more
than others. A linear model adds up one effect for each column and cannot express such combinations,
but the network can. Most of the network's remaining error is due to chance and missing values.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lesson import arguments

import chainrule as cr
from chainrule.plotting import save_or_show
from chainrule.plotting.figures import COLORS, MARKERS

options = arguments(__doc__, rows=4000, epochs=60, batch_size=64, lr=0.003, seed=0)
rng, n = np.random.default_rng(options.seed), options.rows

# For each product: pieces per day, price, effect of one degree, and effect of an offer.
products = pd.DataFrame(
    {"bread": [60, 3, 0, 1.2], "ice cream": [25, 2, 0.08, 2], "soup": [40, 4, -0.05, 1.5]},
    index=["pieces", "price", "degree", "offer"],
).T
table = pd.DataFrame(
    {
        "product": rng.choice(products.index, n),
        "shop": rng.choice(["market", "station", "suburb"], n),
        "temperature": rng.normal(15, 7, n),
        "offer": rng.integers(0, 2, n),
        "weekend": rng.integers(0, 2, n),
    }
)
own = products.loc[table["product"]].reset_index(drop=True)
table["price"] = own["price"] * rng.uniform(0.8, 1.2, n)
expected = (
    own["pieces"] * own["offer"] ** table["offer"] * 1.4 ** table["weekend"]
    * np.exp(own["degree"] * (table["temperature"] - 15)) * own["price"] / table["price"]
    * table["shop"].map({"market": 1.0, "station": 1.3, "suburb": 0.6})
)  # fmt: skip
table["sold"] = expected * np.exp(rng.normal(0, 0.1, n))
for column, share in {"price": 0.1, "temperature": 0.1, "shop": 0.05}.items():
    table.loc[rng.random(n) < share, column] = np.nan
train = rng.random(n) < 0.75
print("missing:", ", ".join(f"{k} {v}" for k, v in table.isna().sum().items() if v))

# A missing price becomes the median price of the product. A missing temperature becomes the median
# temperature. A missing shop becomes "unknown".
prices = table[train].groupby("product")["price"].median()
table["price"] = table["price"].fillna(table["product"].map(prices))
table["temperature"] = table["temperature"].fillna(table.loc[train, "temperature"].median())
table["shop"] = table["shop"].fillna("unknown")

# Compare groups of rows.
by_offer = table[train].groupby(["product", "offer"])["sold"].mean().unstack()
print("pieces sold without and with an offer:")
for product, (without, with_offer) in by_offer.iterrows():
    print(f"  {product}: {without:.1f} and {with_offer:.1f}")

# Encode words as zeros and ones, and standardise all columns.
columns = pd.get_dummies(table.drop(columns="sold"), columns=["product", "shop"], dtype=float)
x, y = columns.to_numpy(), table[["sold"]].to_numpy()
x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
mean, spread = y[train].mean(), y[train].std()
target = (y - mean) / spread

# Train the network, and compare it with least squares.
model = cr.mlp([x.shape[1], 64, 64, 1], backend=options.backend, seed=options.seed)
steps = options.epochs * -(-int(train.sum()) // options.batch_size)
optimizer = cr.Adam(lr=cr.schedules.cosine(options.lr, steps))
trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=optimizer)
trainer.fit(
    x[train], target[train], epochs=options.epochs, batch_size=options.batch_size, verbose=0
)
with_one = np.hstack([x, np.ones((n, 1))])
weights = np.linalg.lstsq(with_one[train], y[train])[0]
predictions = {
    "always the mean": np.full_like(y, mean),
    "least squares": with_one @ weights,
    "network": model.predict(x) * spread + mean,
    "chance alone": expected.to_numpy().reshape(-1, 1),
}
print(f"mean absolute error on {np.sum(~train)} test rows, in pieces:")
for name, prediction in predictions.items():
    print(f"  {name}: {np.mean(np.abs(prediction - y)[~train]):.2f}")

figure = plt.figure(figsize=(11, 3.8), layout="constrained")
offers, warmth, quality = figure.subplots(1, 3)
by_offer.columns = ["no offer", "offer"]
by_offer.plot.bar(ax=offers, color=[COLORS[5], COLORS[0]], rot=0, xlabel="", ylabel="pieces sold")
offers.set_title("Means by product and offer")
degrees = table["temperature"].div(5).round().mul(5)
for i, (product, sold) in enumerate(table[train].groupby("product")):
    means = sold.groupby(degrees)["sold"].mean().loc[0:30]
    warmth.plot(means, color=COLORS[i], marker=MARKERS[i], label=product)
warmth.set(title="Means by temperature", xlabel="temperature (°C)", ylabel="pieces sold")
warmth.legend(frameon=False)
for name, color, marker in ("least squares", COLORS[1], "s"), ("network", COLORS[0], "o"):
    prediction = predictions[name][~train]
    quality.plot(y[~train], prediction, marker, color=color, ms=2, alpha=0.5, label=name)
quality.axline((0, 0), slope=1, color="black", linewidth=1)
quality.set(title="Test rows", xlabel="pieces sold", ylabel="pieces predicted")
quality.legend(frameon=False, markerscale=3)
save_or_show(figure, options.plot)
