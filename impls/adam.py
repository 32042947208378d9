"""torch.optim.Adam: the update comes from an optimizer."""

import torch

REFERENCE = "adam"  # the reference that `twolayer verify` holds it to


def train(cfg):
    x, y, *weights = (torch.tensor(array, device=cfg.device) for array in cfg.problem())
    model = torch.nn.Sequential(
        torch.nn.Linear(cfg.D_in, cfg.H, bias=cfg.bias),
        torch.nn.ReLU(),
        torch.nn.Linear(cfg.H, cfg.D_out, bias=cfg.bias),
    ).to(x)
    # nn.Linear keeps its weight as (out, in).
    model.load_state_dict(dict(zip(model.state_dict(), (w.t() for w in weights), strict=True)))
    loss_fn = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.Adam(model.parameters(), lr=cfg.lr)

    for _ in cfg.steps():
        y_pred = model(x)  # (N, D_out)
        loss = loss_fn(y_pred, y)
        yield loss.detach()

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return [parameter.t().numpy(force=True) for parameter in model.parameters()]
