#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""RealWorldQA's parquet files (pip install pyarrow) as a table with pictures.

    examples/import_realworldqa.py RealWorldQA/data realworldqa
    twinlens task import-vqa --table realworldqa/metadata.jsonl --model MODEL --out realworld

Reads the columns image ({"bytes", "path"}), question and answer of every *.parquet in the folder,
in the order of their names.
"""
import glob
import json
import os
import sys

import pyarrow.parquet


def ending_of(data):
    return "png" if data[:4] == b"\x89PNG" else "webp" if data[8:12] == b"WEBP" else "jpg"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    parquet, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    n = 0
    with open(os.path.join(folder, "metadata.jsonl"), "w", encoding="utf-8") as table:
        for path in sorted(glob.glob(os.path.join(parquet, "*.parquet"))):
            columns = pyarrow.parquet.read_table(path, columns=["image", "question", "answer"])
            for row in columns.to_pylist():
                name = f"{n}.{ending_of(row['image']['bytes'])}"
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(row["image"]["bytes"])
                table.write(json.dumps({"file_name": name, "question": row["question"],
                                        "answer": row["answer"]}) + "\n")
                n += 1
    print(f"{folder}: {n} questions")


if __name__ == "__main__":
    main()
