"""A small byte-pair tokenizer in CLIP's layout, learned from the captions and a list of everyday
and medical words."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path

VOCABULARY = 1600
# Words that users' prompts will hold and our captions do not.
WORDS = """
a an the of with without no and or from into this that in on at to by for is are normal healthy
abnormal patient image scan slice photo picture brain chest lung heart head neck abdomen liver
kidney spine bone breast prostate skin eye retina left right upper lower MRI MR CT PET X-ray
radiograph ultrasound T1 T2 FLAIR weighted contrast axial coronal sagittal frontal lateral view PA
AP year years old month male female man woman sex age aged young elderly adult child dementia
demented nondemented Alzheimer disease cognitively impaired mild moderate severe slightly moderately
significantly converted tumour tumor glioma meningioma pituitary lesion lesions stroke atrophy
ventricle ventricles enlarged atelectasis cardiomegaly effusion infiltration mass nodule pneumonia
pneumothorax consolidation edema emphysema fibrosis pleural thickening hernia finding findings
fracture opacity device healthy control progression visit baseline follow-up before after glioma
notumor benign malignant cancer covid synthetic grey black white dark bright large small
"""


def make_tokenizer(captions: Sequence[str], folder: Path) -> None:
    """Writes vocab.json, merges.txt and tokenizer_config.json so that
    `CLIPTokenizer.from_pretrained(folder)` loads them."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    split = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")  # CLIP's pattern
    tokenizer = Tokenizer(
        models.BPE(
            unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(split, "removed", invert=True), byte_level]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2,
        special_tokens=[],
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    alone = (
        list(string.printable.strip()) * 2
    )  # so that every single character has its own end-of-word entry
    tokenizer.train_from_iterator(
        [*captions, *(" ".join(WORDS.split()) for _ in range(50)), *alone], trainer
    )
    learned = json.loads(tokenizer.to_str())["model"]
    vocabulary = dict(learned["vocab"])
    for character in pre_tokenizers.ByteLevel.alphabet():
        vocabulary.setdefault(character + "</w>", len(vocabulary))
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    merges = [" ".join(m) if isinstance(m, list) else m for m in learned["merges"]]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8"
    )
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "do_lower_case": True,
        "unk_token": "<|endoftext|>",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
