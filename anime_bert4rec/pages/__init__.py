"""The pages to keep: one self-contained HTML file each, that opens in a browser and asks the network for nothing."""
