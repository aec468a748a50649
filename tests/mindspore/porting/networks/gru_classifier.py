"""A GRU sentence classifier with max and mean pooling (Cho et al., 2014)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class GRUClassifier(nn.Module):
    def __init__(self, vocab_size: int, embed_dim: int = 20, hidden_size: int = 16, num_classes: int = 3):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, embed_dim)
        self.gru = nn.GRU(embed_dim, hidden_size, batch_first=True)
        self.attn = nn.Linear(hidden_size, 1)
        self.classifier = nn.Sequential(
            nn.Linear(hidden_size * 4, hidden_size),
            nn.Tanh(),
            nn.Linear(hidden_size, num_classes),
        )

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        out, h_n = self.gru(self.embed(input_ids))
        weights = F.softmax(self.attn(out).squeeze(-1), dim=1)
        attended = torch.bmm(weights.unsqueeze(1), out).squeeze(1)
        pooled_max, _ = out.max(dim=1)
        pooled_mean = out.mean(dim=1)
        features = torch.cat([h_n[-1], attended, pooled_max, pooled_mean], dim=-1)
        return self.classifier(features)
