"""Money: prices, the ledger's double entry, wallets, top-ups and refunds. Whole nano-dollars."""
