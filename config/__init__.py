"""What a site can set (typed), and the coded vocabulary. Imports nothing of ours."""
