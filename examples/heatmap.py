#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""heatmap.py EXPORT OUT.png - importance by layer and position, from `twinlens export RUN --out EXPORT`. Needs pandas, matplotlib."""
import sys

import matplotlib
import pandas

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

export, out = sys.argv[1:]
rows = pandas.read_csv(f"{export}/importance.csv")
figure, axes = pyplot.subplots(rows["modality"].nunique(), 1, figsize=(9, 5), squeeze=False)
for axis, (modality, part) in zip(axes[:, 0], rows.groupby("modality")):
    grid = (part.assign(score=part["heads"] + part["neurons"])
            .pivot(index="layer", columns="position", values="score"))
    image = axis.imshow(grid, origin="lower", aspect="auto", cmap="Greys",
                        norm=matplotlib.colors.LogNorm(vmin=grid.to_numpy().max() / 1000, clip=True))
    figure.colorbar(image, ax=axis, label="summed score")
    for edge in part.drop_duplicates("segment")["position"].iloc[1:]:
        axis.axvline(edge - 0.5, color="tab:red")
    axis.set(title=f"{modality} prompts", xlabel="position", ylabel="layer")
figure.tight_layout()
figure.savefig(out, dpi=120)
