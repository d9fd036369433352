#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The easy-VQA dataset (pip install easy-vqa; MIT) in the form of VQAv2's files.

    examples/import_easy_vqa.py easy
    twinlens task import-vqa --questions easy/questions.json --annotations easy/annotations.json \\
        --images easy/images --model MODEL --out easy-vqa

5 000 pictures of a shape each, 48 248 questions with 13 answers. Pictures of the test part are
numbered behind those of the training part.
"""
import json
import os
import shutil
import sys

import easy_vqa


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    os.makedirs(os.path.join(folder, "images"), exist_ok=True)
    questions, annotations, first = [], [], 0
    for paths, asked in ((easy_vqa.get_train_image_paths(), easy_vqa.get_train_questions()),
                         (easy_vqa.get_test_image_paths(), easy_vqa.get_test_questions())):
        for number, path in paths.items():
            name = f"COCO_easy_{first + number:012d}.jpg"  # the ending is VQAv2's; the bytes are PNG
            shutil.copy(path, os.path.join(folder, "images", name))
        for text, answer, number in zip(*asked):
            ids = {"question_id": len(questions), "image_id": first + number}
            questions.append({**ids, "question": text})
            annotations.append({**ids, "multiple_choice_answer": answer})
        first += len(paths)
    for name, entries in (("questions", questions), ("annotations", annotations)):
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
            json.dump({"data_subtype": "easy", name: entries}, file)
    print(f"{folder}: {first} pictures, {len(questions)} questions")


if __name__ == "__main__":
    main()
