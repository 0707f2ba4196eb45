"""What learns: the batches, the BERT4Rec, the item memory that it starts from, and the files that hold them."""
