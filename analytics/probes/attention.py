"""An attention probe: which views of a study tell a finding is learned with the finding."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from analytics.leakage import refuse, same_patient
from analytics.probes.linear import Probed, threshold
from analytics.splits import Split, even_folds

Floats = NDArray[np.float64]
_HIDDEN: Final = 64
_EPOCHS: Final = 150
_PATIENCE: Final = 20
_RATE: Final = 2e-3
_DECAY: Final = 1e-2
_DROPOUT: Final = 0.25
_INNER_FOLDS: Final = 4
"""One of them tells when to stop, and gives the thresholds."""


class AttentionProbe(nn.Module):
    """Weigh the views of a study and add them up, one set of weights a finding.

    Parameters
    ----------
    dim, findings : int

    References
    ----------
    Ilse, Tomczak and Welling, ICML 2018 (gated attention); Lu et al., Nat Biomed Eng 2021;5:555
    (weights of each class).
    """

    def __init__(self, dim: int, findings: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, _HIDDEN)
        self.content = nn.Linear(dim, _HIDDEN)
        self.weigh = nn.Linear(_HIDDEN, findings)
        self.value = nn.Linear(dim, _HIDDEN)
        self.drop = nn.Dropout(_DROPOUT)
        self.tell = nn.Parameter(torch.zeros(findings, _HIDDEN))
        self.bias = nn.Parameter(torch.zeros(findings))

    def forward(self, views: Tensor, there: Tensor) -> Tensor:
        """Return logits, (studies, findings).

        Parameters
        ----------
        views : Tensor of shape (studies, views, dim)
        there : bool Tensor of shape (studies, views)
            False where a study has fewer views.
        """
        hidden = torch.tanh(self.content(views)) * torch.sigmoid(self.gate(views))
        weight = self.weigh(self.drop(hidden)).masked_fill(~there[..., None], -torch.inf)
        together = torch.einsum("svf,svh->sfh", weight.softmax(dim=1), self.value(views))
        return torch.einsum("sfh,fh->sf", self.drop(together), self.tell) + self.bias


def probe_views(
    videos: ArrayLike,
    study_of: NDArray[np.int64],
    truth: ArrayLike,
    patient: ArrayLike,
    *,
    outer_folds: int = 5,
    seed: int = 0,
) -> Probed:
    """Cross-validate an attention probe of findings that are there or not.

    Parameters
    ----------
    videos : float array of shape (videos, dim)
    study_of : int64 array of shape (videos,)
        Row of the study of each video; every study has one at least.
    truth : array of shape (studies, findings)
        1, 0, or NaN where it is not known.
    patient : array of shape (studies,)
        All studies of a patient are on one side.
    outer_folds, seed : int

    Raises
    ------
    LeakageError
        A patient would be on both sides.
    UsageError
        There are fewer patients than folds.
    """
    known, who = np.asarray(truth, np.float64), np.asarray(patient).astype(str)
    views, there = _bags(np.asarray(videos, np.float32), study_of, len(known))
    splits = list(even_folds(who, count=outer_folds, seed=seed))
    refuse(leak for split in splits for leak in same_patient(split, who))
    scores, thresholds = np.full(known.shape, np.nan), np.full(known.shape, np.nan)
    for split in splits:
        said, at = _one_side(views, there, known, who, split, seed)
        scores[split.test], thresholds[split.test] = said, at
    return Probed(scores, thresholds)


def _bags(
    videos: NDArray[np.float32], study_of: NDArray[np.int64], studies: int
) -> tuple[Tensor, Tensor]:
    """Return the views of each study, padded with zeros, and which of them are there."""
    counts = np.bincount(study_of, minlength=studies)
    order = np.argsort(study_of, kind="stable")
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    views = np.zeros((studies, int(counts.max()), videos.shape[1]), np.float32)
    there = np.zeros(views.shape[:2], bool)
    views[study_of[order], place] = videos[order]
    there[study_of[order], place] = True
    return torch.from_numpy(views), torch.from_numpy(there)


def _one_side(
    views: Tensor,
    there: Tensor,
    truth: Floats,
    who: NDArray[np.str_],
    split: Split,
    seed: int,
) -> tuple[Floats, Floats]:
    inner = next(even_folds(who[split.train], count=_INNER_FOLDS, seed=seed))
    fit, watch = split.train[inner.train], split.train[inner.test]
    centre, spread = _scale(views[fit], there[fit])
    scaled = (views - centre) / spread
    model = _fitted(scaled, there, truth, fit, watch, seed)
    with torch.no_grad():
        watched = model(scaled[watch], there[watch]).double().numpy()
        said = model(scaled[split.test], there[split.test]).double().numpy()
    columns = range(truth.shape[1])
    return said, np.array([threshold(truth[watch, j], watched[:, j]) for j in columns])


def _scale(views: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    own = views[there]
    return own.mean(dim=0), own.std(dim=0).clamp_min(1e-6)


def _fitted(
    views: Tensor,
    there: Tensor,
    truth: Floats,
    fit: NDArray[np.int64],
    watch: NDArray[np.int64],
    seed: int,
) -> AttentionProbe:
    """Fit until what is watched gets no better, and return the best."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AttentionProbe(views.shape[2], truth.shape[1])
        optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=_DECAY)
        target = torch.from_numpy(np.nan_to_num(truth)).float()
        known = torch.from_numpy(np.isfinite(truth))
        best, state, waited = float("inf"), model.state_dict(), 0
        for _ in range(_EPOCHS):
            model.train()
            optimiser.zero_grad()
            loss = _loss(model(views[fit], there[fit]), target[fit], known[fit])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            model.eval()
            with torch.no_grad():
                found = float(_loss(model(views[watch], there[watch]), target[watch], known[watch]))
            waited += 1
            if found < best - 1e-5:
                best, waited = found, 0
                state = {name: each.clone() for name, each in model.state_dict().items()}
            if waited >= _PATIENCE:
                break
    model.load_state_dict(state)
    return model.eval()


def _loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits[known], target[known])
