"""What goes out: objects by C-STORE and STOW-RS, over connections that are kept, past destinations that are down."""
