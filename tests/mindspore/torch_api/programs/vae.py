"""A variational autoencoder (Kingma and Welling 2014); the noise is part of the batch."""

import torch
from torch import nn
from torch.nn import functional as F


class Network(nn.Module):
    def __init__(self):
        super(Network, self).__init__()
        self.fc1 = nn.Linear(12, 10)
        self.fc21 = nn.Linear(10, 4)
        self.fc22 = nn.Linear(10, 4)
        self.fc3 = nn.Linear(4, 10)
        self.fc4 = nn.Linear(10, 12)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar, eps):
        std = torch.exp(0.5 * logvar)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x, eps):
        mu, logvar = self.encode(x.view(-1, 12))
        return self.decode(self.reparameterize(mu, logvar, eps)), mu, logvar


def batch():
    return torch.rand(5, 1, 3, 4), torch.randn(5, 4)


def loss(model, x, eps):
    recon_x, mu, logvar = model(x, eps)
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 12), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3)
