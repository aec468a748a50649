"""A bidirectional LSTM that tags words (Huang et al., 2015)."""

import torch
import torch.nn as nn


class LSTMTagger(nn.Module):
    def __init__(self, vocab_size, embedding_dim=32, hidden_dim=24, num_tags=9, num_layers=2, dropout=0.3):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=0)
        self.lstm = nn.LSTM(
            embedding_dim, hidden_dim, num_layers=num_layers, batch_first=True, bidirectional=True, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.hidden2tag = nn.Linear(hidden_dim * 2, num_tags)

    def init_hidden(self, batch_size, device):
        shape = (self.num_layers * 2, batch_size, self.hidden_dim)
        return torch.zeros(shape, device=device), torch.zeros(shape, device=device)

    def forward(self, tokens):
        mask = tokens.ne(0)
        embeds = self.dropout(self.embedding(tokens))
        hidden = self.init_hidden(tokens.size(0), tokens.device)
        lstm_out, _ = self.lstm(embeds, hidden)
        scores = self.hidden2tag(self.dropout(lstm_out))
        return scores * mask.unsqueeze(-1).float()
