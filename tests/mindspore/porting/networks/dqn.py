"""A dueling Q-network with its update of the target network (Mnih et al., 2015; Wang et al., 2016)."""

import copy
import random
from collections import deque

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class DuelingDQN(nn.Module):
    def __init__(self, n_observations=6, n_actions=4, hidden=32):
        super().__init__()
        self.feature = nn.Sequential(nn.Linear(n_observations, hidden), nn.ReLU())
        self.advantage = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, n_actions))
        self.value = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x):
        x = self.feature(x)
        advantage = self.advantage(x)
        value = self.value(x)
        return value + advantage - advantage.mean(1, keepdim=True)


class Agent:
    def __init__(self, gamma=0.99, tau=0.005, lr=1e-3):
        self.policy = DuelingDQN()
        self.target = copy.deepcopy(self.policy)
        self.target.load_state_dict(self.policy.state_dict())
        self.optimizer = torch.optim.AdamW(self.policy.parameters(), lr=lr, amsgrad=True)
        self.memory = deque([], maxlen=1000)
        self.gamma, self.tau = gamma, tau

    def act(self, state, epsilon=0.1):
        if random.random() < epsilon:
            return random.randrange(4)
        with torch.no_grad():
            return self.policy(torch.from_numpy(state).unsqueeze(0)).max(1).indices.item()

    def learn(self, batch_size=16):
        states, actions, rewards, next_states = zip(*random.sample(self.memory, batch_size))
        states = torch.tensor(np.stack(states))
        actions = torch.tensor(actions).unsqueeze(1)
        rewards = torch.tensor(rewards)
        next_states = torch.tensor(np.stack(next_states))
        q_values = self.policy(states).gather(1, actions)
        with torch.no_grad():
            expected = rewards + self.gamma * self.target(next_states).max(1).values
        loss = F.smooth_l1_loss(q_values, expected.unsqueeze(1))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(self.policy.parameters(), 100)
        self.optimizer.step()
        for target, source in zip(self.target.parameters(), self.policy.parameters()):
            target.data.copy_(self.tau * source.data + (1.0 - self.tau) * target.data)
        return loss.item()
