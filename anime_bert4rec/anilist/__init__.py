"""AniList's side of the network: the connection, the answers, and a made-up AniList for trying things out."""
