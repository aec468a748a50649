"""Character-aware words: convolutions over characters and a highway network (Kim et al., 2016)."""

import torch
import torch.nn as nn
from torch.nn.utils import clip_grad_norm_


class Highway(nn.Module):
    def __init__(self, size, num_layers=1, bias=-2.0):
        super().__init__()
        self.num_layers = num_layers
        self.nonlinear = nn.ModuleList([nn.Linear(size, size) for _ in range(num_layers)])
        self.gate = nn.ModuleList([nn.Linear(size, size) for _ in range(num_layers)])
        for gate in self.gate:
            gate.bias.data.fill_(bias)

    def forward(self, x):
        for layer in range(self.num_layers):
            gate = torch.sigmoid(self.gate[layer](x))
            nonlinear = torch.relu(self.nonlinear[layer](x))
            x = gate * nonlinear + (1 - gate) * x
        return x


class CharAwareEncoder(nn.Module):
    def __init__(self, num_chars, char_dim=8, widths=(1, 2, 3), filters=6, hidden=20):
        super().__init__()
        self.char_embed = nn.Embedding(num_chars, char_dim, padding_idx=0)
        self.convs = nn.ModuleDict({str(w): nn.Conv1d(char_dim, filters, w) for w in widths})
        self.highway = Highway(filters * len(widths), 2)
        self.lstm = nn.LSTM(filters * len(widths), hidden, batch_first=True)
        self.out = nn.Linear(hidden, num_chars)

    def forward(self, chars):
        batch, words, length = chars.size()
        x = self.char_embed(chars.view(-1, length)).transpose(1, 2)
        pooled = []
        for conv in self.convs.values():
            pooled.append(torch.tanh(conv(x)).max(dim=2)[0])
        x = torch.cat(pooled, 1)
        x = self.highway(x).view(batch, words, -1)
        output, (h_n, c_n) = self.lstm(x)
        return self.out(output), h_n.squeeze(0)


def train(model, batches, epochs=1, clip=5.0):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        total = 0.0
        for chars, target in batches:
            logits, _ = model(chars)
            loss = criterion(logits.view(-1, logits.size(-1)), target.view(-1))
            model.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            total += loss.item()
        scheduler.step()
        print(epoch, total / len(batches), optimizer.param_groups[0]["lr"])
