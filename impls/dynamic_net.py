"""DynamicNet: a middle layer applied 0 to 3 times, drawn anew each step, weights shared."""

import numpy as np
import torch

REFERENCE = "dynamic"  # the reference that `twolayer verify` holds it to


class DynamicNet(torch.nn.Module):
    def __init__(self, D_in, H, D_out, bias, seed):
        super().__init__()
        self.linear1 = torch.nn.Linear(D_in, H, bias=bias)
        self.middle = torch.nn.Linear(H, H, bias=bias)
        self.linear2 = torch.nn.Linear(H, D_out, bias=bias)
        self.depths = np.random.default_rng([seed, 1])  # a stream apart from the problem's

    def forward(self, x):
        h_relu = self.linear1(x).clamp(min=0)  # (N, H)
        for _ in range(self.depths.integers(4)):
            h_relu = self.middle(h_relu).clamp(min=0)  # (N, H)
        return self.linear2(h_relu)  # (N, D_out)


def train(cfg):
    x, y, *weights = (torch.tensor(array, device=cfg.device) for array in cfg.problem(middle=True))
    model = DynamicNet(cfg.D_in, cfg.H, cfg.D_out, cfg.bias, cfg.seed).to(x)
    # nn.Linear keeps its weight as (out, in).
    model.load_state_dict(dict(zip(model.state_dict(), (w.t() for w in weights), strict=True)))
    loss_fn = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(model.parameters(), lr=cfg.lr, momentum=cfg.momentum)

    for _ in cfg.steps():
        y_pred = model(x)  # (N, D_out)
        loss = loss_fn(y_pred, y)
        yield loss.detach()

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return [parameter.t().numpy(force=True) for parameter in model.parameters()]
