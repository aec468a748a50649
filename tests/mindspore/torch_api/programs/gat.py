"""A graph attention layer on a dense adjacency matrix (Velickovic et al. 2018)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class GATLayer(nn.Module):
    def __init__(self, i, o, alpha=0.2, concat=True):
        super().__init__()
        self.concat, self.out_features = concat, o
        self.W = nn.Parameter(torch.empty(size=(i, o)))
        nn.init.xavier_uniform_(self.W.data, gain=1.414)
        self.a = nn.Parameter(torch.empty(size=(2 * o, 1)))
        nn.init.xavier_uniform_(self.a.data, gain=1.414)
        self.leakyrelu = nn.LeakyReLU(alpha)

    def forward(self, h, adj):
        Wh = torch.mm(h, self.W)
        Wh1 = torch.matmul(Wh, self.a[: self.out_features, :])
        Wh2 = torch.matmul(Wh, self.a[self.out_features :, :])
        e = self.leakyrelu(Wh1 + Wh2.T)
        attention = torch.where(adj > 0, e, -9e15 * torch.ones_like(e))
        attention = F.softmax(attention, dim=1)
        h_prime = torch.matmul(attention, Wh)
        return F.elu(h_prime) if self.concat else h_prime


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.attentions = [GATLayer(5, 4) for _ in range(2)]
        for i, attention in enumerate(self.attentions):
            self.add_module("attention_{}".format(i), attention)
        self.out_att = GATLayer(8, 3, concat=False)

    def forward(self, x, adj):
        x = torch.cat([att(x, adj) for att in self.attentions], dim=1)
        x = F.elu(self.out_att(x, adj))
        return F.log_softmax(x, dim=1)


def batch():
    adj = torch.eye(6)
    for i in range(5):
        adj[i, i + 1] = adj[i + 1, i] = 1.0
    return torch.randn(6, 5), adj, torch.tensor([0, 1, 2, 0, 1, 2])


def loss(model, x, adj, y):
    return F.nll_loss(model(x, adj)[[0, 2, 4]], y[[0, 2, 4]])


def optimizer(model):
    return torch.optim.Adadelta(model.parameters(), lr=0.5)
