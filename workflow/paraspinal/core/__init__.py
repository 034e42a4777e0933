"""What every stage shares and no stage owns; this room imports no other room."""
