"""The paper's tables: their rows as configs, the runs behind them, and what was measured."""
