"""The implementations: one file, one ``train(cfg)``, one screen each."""
