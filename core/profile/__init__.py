"""What launches and scopes took, as a tree and as a trace."""
