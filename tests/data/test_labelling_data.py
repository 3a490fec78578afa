from pathlib import Path

import pytest
import torch

from seqtrain.data.brackets import Brackets
from seqtrain.errors import UserError
from seqtrain.tasks.labelling import Labelling

SMALL = {"size": 80, "val_size": 20, "test_size": 30, "max_length": 16, "batch_tokens": 100, "seed": 1}


def ready(**options: int) -> Brackets:
    data = Brackets(**{**SMALL, **options})
    data.prepare_data()
    data.setup()
    return data


def test_batches_hold_every_string_once_with_its_label() -> None:
    data = ready()
    for split, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
        texts, labels = data.strings(split)
        seen = []
        for batch in loader:
            assert len(batch) * batch.tokens.shape[1] <= 100
            for row, index in enumerate(batch.index.tolist()):
                ids = batch.tokens[row].tolist()
                assert data.decode(ids) == texts[index]
                assert ids[int(batch.lengths[row]) :] == [0] * (len(ids) - int(batch.lengths[row]))
                assert int(batch.labels[row]) == labels[index]
                seen.append(index)
        assert sorted(seen) == list(range(data.sizes[split]))
    assert data.task == Labelling(vocabulary=5, labels=("ill-formed", "well-formed"))
    assert data.sizes == {"train": 80, "val": 20, "test": 30}


def test_test_strings_may_be_longer() -> None:
    data = ready(test_min_length=30, test_max_length=40)
    lengths = torch.cat([batch.lengths for batch in data.test_dataloader()])
    assert int(lengths.min()) >= 30
    assert int(torch.cat([batch.lengths for batch in data.train_dataloader()]).max()) <= 16
    with pytest.raises(UserError, match="out of range"):
        ready(min_length=18)


def test_the_same_strings_whatever_the_runs_seed() -> None:
    assert ready(seed=1).fingerprint == ready(seed=2).fingerprint != ready(corpus_seed=2).fingerprint


def test_the_vocabulary_is_saved_and_must_fit(tmp_path: Path) -> None:
    ready().save(tmp_path)
    again = Brackets(**SMALL)
    again.load(tmp_path)
    again.setup()
    assert again.task == ready().task
    assert again.tokenizer_hash == ready().tokenizer_hash
    more = Brackets(**{**SMALL, "kinds": 3})
    more.load(tmp_path)
    with pytest.raises(UserError, match="is not in the vocabulary"):
        more.setup()


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    data = Brackets(**SMALL)
    with pytest.raises(UserError, match="no vocabulary at"):
        data.load(tmp_path)
    (tmp_path / "vocabulary.json").write_text('"ab')
    with pytest.raises(UserError, match="cannot be read"):
        data.load(tmp_path)
    (tmp_path / "vocabulary.json").write_text('"aa"')
    with pytest.raises(UserError, match="no string of different characters"):
        data.load(tmp_path)
