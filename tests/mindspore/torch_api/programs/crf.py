"""A linear-chain CRF on top of a bidirectional RNN: the forward algorithm in the log domain (Lample et al. 2016)."""

import torch
from torch import nn


class Network(nn.Module):
    def __init__(self, tags=4):
        super().__init__()
        self.rnn = nn.RNN(5, 6, bidirectional=True, batch_first=True)
        self.emit = nn.Linear(12, tags)
        self.transitions = nn.Parameter(torch.randn(tags, tags))
        self.start, self.end = nn.Parameter(torch.randn(tags)), nn.Parameter(torch.randn(tags))

    def forward(self, x):
        return self.emit(self.rnn(x)[0])

    def nll(self, x, y, mask):
        e = self(x)
        b, n, _ = e.shape
        index = torch.arange(b)
        score = self.start[y[:, 0]] + e[index, 0, y[:, 0]]
        alpha = self.start + e[:, 0]
        for t in range(1, n):
            step = self.transitions[y[:, t - 1], y[:, t]] + e[index, t, y[:, t]]
            score = score + step * mask[:, t].float()
            new = torch.logsumexp(alpha.unsqueeze(2) + self.transitions + e[:, t].unsqueeze(1), dim=1)
            alpha = torch.where(mask[:, t].unsqueeze(1), new, alpha)
        last = mask.long().sum(dim=1) - 1
        score += self.end[y.gather(1, last.unsqueeze(1)).squeeze(1)]
        return (torch.logsumexp(alpha + self.end, dim=1) - score).mean()


def batch():
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]], dtype=torch.bool)
    return torch.randn(3, 4, 5), torch.randint(0, 4, (3, 4)), mask


def loss(model, x, y, mask):
    return model.nll(x, y, mask)


def optimizer(model):
    return torch.optim.Adamax(model.parameters(), lr=1e-2)
